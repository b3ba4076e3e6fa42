/** A short torture run for each backend, as people run it, and what the command refuses. */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { judge } from "../src/check/judge.ts";
import { type Event, readEvents } from "../src/history.ts";

const main = fileURLToPath(new URL("../dist/main.js", import.meta.url));
const seconds = 20;
/** The torture, the last waits, and a server to start; the rest is for machines that have much else to do. */
const timeout = 180_000;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "dlock-torture-test-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

function torture(...args: string[]): Promise<{ exitCode: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [main, ...args], (_, stdout, stderr) =>
      resolve({ exitCode: child.exitCode ?? -1, stdout, stderr }),
    );
  });
}

/** The kinds of operations that really happened. */
function seen(events: readonly Event[]): Set<string> {
  return new Set(events.map(({ type, op }) => `${op} ${type}`));
}

describe.concurrent("locks under faults hold what they promise", () => {
  test.each([
    ["memory", ["--url", "memory:torture"]],
    ["SQLite", []],
    ["Redis", ["--backend", "redis"]],
    ["MariaDB", ["--backend", "mysql"]],
    ["etcd", ["--backend", "etcd"]],
  ])("on %s", { timeout }, async (name, args) => {
    const history = join(folder, `${name}.jsonl`);
    const { stdout, stderr, exitCode } = await torture(...args, "--minutes", String(seconds / 60), "--ttl", "1s", "--history", history);
    expect(stdout + stderr).toMatch(/\nPASS\n$/);
    expect(exitCode).toBe(0);
    const events = readEvents(history);
    const happened = seen(events);
    for (const each of ["lock ok", "lock fail", "read ok", "write ok", "unlock ok"]) expect(happened, each).toContain(each);
    // The same from the kept history as in the run.
    const { acquisitions, faults, toldLate, overlaps } = judge(events, 1_000);
    expect(faults).toBeGreaterThan(2);
    expect(stdout).toMatch(new RegExp(`\nacquisitions +${acquisitions}\n`));
    expect([...toldLate, ...overlaps]).toEqual([]);
  });

  test.each(["redis", "mysql"])("on %s whose clock is stepped, with the fence", { timeout }, async (backend) => {
    const history = join(folder, `${backend}-clock.jsonl`);
    const args = ["--backend", backend, "--faults", "server-clock", "--minutes", String(seconds / 60), "--ttl", "1s", "--history", history];
    const { stdout, stderr, exitCode } = await torture(...args);
    expect(stdout + stderr).toMatch(/\nPASS\n$/);
    expect(exitCode).toBe(0);
    const steps = readEvents(history).flatMap(({ fault, stepMs }) => (fault === "server clock" ? [stepMs] : []));
    expect(steps.length).toBeGreaterThan(2);
  });
});

test.each([
  ["to harm a server that is not ours", ["--url", "redis://127.0.0.1:1", "--faults", "server"], "--faults takes kill, pause, partition,"],
  [
    "to cut off a server behind several addresses",
    ["--url", "redis://127.0.0.1:1?cluster=true&node=127.0.0.1:2", "--faults", "partition"],
    "--faults takes kill, pause, clock or none",
  ],
  ["to step a clock that nobody can step", ["--backend", "etcd", "--faults", "server-clock"], "not server-clock"],
  ["a dead holder whose lock lasts for an hour", ["--backend", "redis", "--faults", "kill,server-clock"], "without kill"],
  ["to kill the one process that has locks in memory", ["--url", "memory:", "--faults", "kill"], "--faults takes pause,"],
  ["several workers with locks in memory", ["--url", "memory:", "--workers", "2"], "--workers 1"],
  ["a fault that there is not", ["--faults", "flood"], "--faults takes kill, pause, clock or none for these locks, not flood"],
  ["a backend that there is not", ["--backend", "oracle"], "--backend must be one of redis, mysql, etcd"],
  ["a server of ours and another", ["--backend", "redis", "--url", "redis://127.0.0.1"], "exclude each other"],
  ["no time at all", ["--minutes", "0"], "--minutes must be a number from"],
  ["half a worker", ["--workers", "1.5"], "--workers must be a whole number"],
  ["no tasks", ["--tasks", "0"], "--tasks must be a number from 1 to 100"],
  ["an unknown option", ["--hard"], "--hard"],
])("it refuses %s", async (_, args, message) => {
  const { exitCode, stdout, stderr } = await torture(...args);
  expect(exitCode).toBe(1);
  expect(stdout).toBe("");
  expect(stderr).toMatch(/^torture: /);
  expect(stderr).toContain(message);
});
