/** Free loopback ports. */
import { createServer } from "node:net";

export const loopback = "127.0.0.1";

const handedOut = new Set<number>();

/**
 * A port nobody listens on. Taken from below the range from which the system serves outgoing connections, so that none of those takes it
 * before the server does, and at random, so that two test processes hardly ever choose the same.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 12_000 + Math.floor(Math.random() * 20_000);
    if (handedOut.has(port)) continue;
    handedOut.add(port);
    if (await isFree(port)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, loopback, () => server.close(() => resolve(true)));
  });
}
