/** Clocks that step: what servers and Node read of them, and what stays as it was. */
import { connect } from "node:net";
import { startRedis } from "@dlock-tooling/services";
import { expect, onTestFinished, test } from "vitest";
import { runNode } from "../src/process.ts";
import { wallClock } from "../src/wall-clock.ts";

const hourMs = 3_600_000;

function steppable() {
  const clock = wallClock();
  onTestFinished(() => clock.remove());
  return clock;
}

test.each([hourMs, -hourMs])("a Node process sees its wall clock step by %i ms, and its monotonic clock go on", async (stepMs) => {
  const clock = steppable();
  const script = `process.stdin.on("data", () => console.log("clocks", Date.now(), Number(process.hrtime.bigint()) / 1e6))`;
  const program = runNode("--eval", [script], clock.env);
  onTestFinished(() => program.kill());
  program.say("");
  const before = numbersOf(await program.line(/^clocks/));
  clock.stepTo(stepMs);
  expect(clock.offsetMs).toBe(stepMs);
  const said = program.lines.length;
  program.say("");
  while (program.lines.length === said) await new Promise(setImmediate);
  const after = numbersOf(program.lines.at(-1) ?? "");
  const [wallMs = 0, monotonicMs = 0] = after.map((value, index) => value - (before[index] ?? 0));
  expect(Math.abs(wallMs - monotonicMs - stepMs)).toBeLessThan(1_000);
  expect(monotonicMs).toBeGreaterThan(0);
  expect(monotonicMs).toBeLessThan(hourMs / 2);
});

test("a Redis server sees its clock step, also one whose memory is jemalloc's", async () => {
  const clock = steppable();
  const server = await startRedis({ env: clock.env });
  onTestFinished(() => server.stop());
  const before = await secondsOf(server.port);
  clock.stepTo(hourMs);
  const stepped = (await secondsOf(server.port)) - before;
  expect(stepped).toBeGreaterThanOrEqual(3_600);
  expect(stepped).toBeLessThan(3_660);
});

function numbersOf(line: string): number[] {
  return line.split(" ").slice(1).map(Number);
}

/** The time that the server tells. */
async function secondsOf(port: number): Promise<number> {
  const socket = connect(port, "127.0.0.1");
  socket.write("TIME\r\n");
  const [answer] = await new Promise<[Buffer]>((resolve, reject) => {
    socket.once("data", (bytes: Buffer) => resolve([bytes]));
    socket.once("error", reject);
  });
  socket.destroy();
  return Number(/\$\d+\r\n(\d+)\r\n/.exec(answer.toString())?.[1]);
}
