/** Clocks that step: what a process reads of them, and what stays as it was. */
import { steppableClock } from "@dlock-tooling/services";
import { expect, onTestFinished, test } from "vitest";
import { runNode } from "../src/process.ts";

const hour = 3_600;

test.each([hour, -hour])("a Node process sees its wall clock step by %i s, and its monotonic clock go on", async (step) => {
  const clock = await steppableClock();
  const script = `process.stdin.on("data", (line) => console.log("clocks", String(line).trim(), Date.now(), Number(process.hrtime.bigint()) / 1e6))`;
  const program = runNode("--eval", [script], clock.env);
  onTestFinished(() => program.kill());
  const look = async (name: string) => {
    program.say(name);
    return (await program.line(new RegExp(`^clocks ${name} `))).split(" ").slice(2).map(Number);
  };
  const before = await look("before");
  clock.step(step);
  expect(clock.offsetSeconds).toBe(step);
  const after = await look("after");
  const [wallMs = 0, monotonicMs = 0] = after.map((value, index) => value - (before[index] ?? 0));
  expect(Math.abs(wallMs - monotonicMs - step * 1_000)).toBeLessThan(1_000);
  expect(monotonicMs).toBeGreaterThan(0);
  expect(monotonicMs).toBeLessThan((hour * 1_000) / 2);
});
