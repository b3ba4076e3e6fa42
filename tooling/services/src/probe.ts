/** Asks a server that has just been started whether it answers. */
import { connect } from "node:net";
import { loopback } from "./ports.js";

/** Connects, sends `request` if there is one, and resolves to the first bytes of the answer. */
export function firstAnswer(port: number, request?: string): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: loopback, port, timeout: 1_000 });
    socket.once("error", reject);
    socket.once("timeout", () => socket.destroy(new Error("no answer")));
    socket.once("close", () => reject(new Error("closed")));
    socket.once("data", (data) => {
      resolve(data);
      socket.destroy();
    });
    if (request !== undefined) socket.once("connect", () => socket.write(request));
  });
}
