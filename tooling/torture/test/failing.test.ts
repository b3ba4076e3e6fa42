/** A run whose own tools fail. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { targetAt, torture } from "../dist/index.js";

test("a fault that cannot be made ends the run with its error, and the workers with it", { timeout: 60_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "dlock-failing-"));
  const options = { workers: 2, faults: ["server" as const] };
  const target = await targetAt(`sqlite:${join(folder, "locks.db")}`, options);
  const refuse = () => {
    throw new Error("this server cannot be harmed");
  };
  const server = { url: "", host: "", port: 0, folder, pid: 0, stop: refuse, kill: refuse, pause: refuse, resume: refuse, restart: refuse };
  const run = { ...options, durationMs: 30_000, seed: 1, ttlMs: 500, tasks: 1, history: join(folder, "history.jsonl") };
  const children = () => process.getActiveResourcesInfo().filter((each) => each === "ProcessWrap").length;
  const before = children();
  const started = performance.now();
  await expect(torture({ ...target, server }, run, new AbortController().signal)).rejects.toThrow("this server cannot be harmed");
  expect(performance.now() - started).toBeLessThan(run.durationMs);
  await expect.poll(children, { timeout: 5_000 }).toBe(before);
  await target.stop();
  rmSync(folder, { recursive: true });
});
