/** In every state, with and without its server: after close() a process ends by itself, and no call is left without an end. */
import { fileURLToPath } from "node:url";
import { runNode } from "@dlock-tooling/faults";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ExitReport } from "../../src/exit.ts";

const program = fileURLToPath(new URL("../../dist/exit.js", import.meta.url));
export const states = ["never used", "idle", "holding", "waiting", "renewing", "in the middle of everything"];
const accidents = ["none", "a frozen server", "a server that is gone"];
/** close() promises a second for itself, and leaves nothing that keeps the process; the rest is for a machine that has much else to do. */
const promisedMs = 1_000;
const slackMs = 500;

/** A server to harm, and how to make it whole again. */
export interface Server {
  readonly url: string;
  readonly pid: number;
  mend(): Promise<void>;
  stop(): Promise<void>;
}

export async function ofOne(
  started: Promise<{ url: string; pid: number; resume(): void; restart(): Promise<void>; stop(): Promise<void> }>,
  urlOf = (url: string) => url,
): Promise<Server> {
  const service = await started;
  return {
    url: urlOf(service.url),
    get pid() {
      return service.pid;
    },
    async mend() {
      service.resume();
      await service.restart();
    },
    stop: () => service.stop(),
  };
}

async function exit(url: string, state: string, accident: string, pid?: number): Promise<ExitReport> {
  const child = runNode(program, [url, state, accident, ...(pid === undefined ? [] : [String(pid)])]);
  const { code } = await child.ended;
  // What keeps a process alive, or what it died of, is what it said.
  expect({ code, lines: child.lines }).toEqual({ code: 0, lines: [expect.stringMatching(/^\{"closedMs"/)] });
  return JSON.parse(child.lines[0] as string);
}

function expectPrompt({ closedMs, lingeredMs, calls }: ExitReport): void {
  expect(closedMs).toBeLessThan(promisedMs + slackMs);
  expect(lingeredMs).toBeLessThan(promisedMs);
  for (const call of calls) expect(call).toMatch(/^(ok|DLOCK_(CLOSED|LOST|NOT_HELD|BACKEND))$/);
}

/** One state, with the server in order. */
export async function expectEnd(url: string, state: string): Promise<void> {
  expectPrompt(await exit(url, state, "none"));
}

/** Every state, with the server in order, frozen and gone. */
export function endsWhateverHappens(backend: string, start: () => Promise<Server>, itsStates: readonly string[] = states): void {
  describe(`a process with ${backend}`, () => {
    let server: Server;
    beforeAll(async () => {
      server = await start();
    }, 60_000);
    afterAll(() => server.stop());

    describe.each(accidents)("and %s", (accident) => {
      test.each(itsStates)("that is %s ends after close()", { timeout: 60_000 }, async (state) => {
        try {
          expectPrompt(await exit(server.url, state, accident, server.pid));
        } finally {
          if (accident !== "none") await server.mend();
        }
      });
    });
  });
}
