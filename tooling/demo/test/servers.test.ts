/** The main job over every backend with a server: the same verdicts as over a file. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startEtcd, startMysql, startRedis } from "@dlock-tooling/services";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { generateExecutions, toJsonLines } from "../src/generate.ts";
import { demo, leftIn, twiceIn } from "./support/run.ts";

/** A run takes a few seconds. The demo gives up one that is stuck after two minutes, and says what it saw: worth waiting for. */
const timeout = 150_000;
/** Enough that all workers are busy when the accidents happen. */
const executions = generateExecutions(40);

const folder = mkdtempSync(join(tmpdir(), "dlock-demo-servers-"));
const input = join(folder, "executions.jsonl");
writeFileSync(input, toJsonLines(executions));
afterAll(() => rmSync(folder, { recursive: true }));

describe.each([
  { name: "etcd", start: startEtcd, urlOf: (url: string) => url.replace("http:", "etcd:") },
  { name: "redis", start: startRedis, urlOf: (url: string) => url },
  { name: "mysql", start: startMysql, urlOf: (url: string) => url },
])("over $name", ({ name, start, urlOf }) => {
  let server: { url: string; stop(): Promise<void> };
  beforeAll(async () => {
    server = await start();
  }, timeout);
  afterAll(() => server.stop());

  const run = (dir: string, ...more: string[]) =>
    demo("--url", urlOf(server.url), "--input", input, "--workers", "3", "--dir", dir, ...more);

  test("posts every execution exactly once, although one worker is killed and one oversleeps", { timeout }, async () => {
    const dir = join(folder, `${name} fenced`);
    const { exitCode, stdout, stderr } = await run(dir);
    expect(stdout + stderr).toMatch(/\nPASS\n$/);
    expect(exitCode).toBe(0);
    const { postings, events } = leftIn(dir);
    expect(postings.map(({ id }) => id).sort()).toEqual(executions.map(({ id }) => id).sort());
    for (const accident of ["killed", "stopped", "continued"]) expect(events(accident)).toHaveLength(1);
    expect(events("refused").length).toBeGreaterThanOrEqual(1);
  });

  test("posts an execution twice without the fence, and says so", { timeout }, async () => {
    const dir = join(folder, `${name} bare`);
    const { exitCode, stdout } = await run(dir, "--no-fence");
    expect(exitCode).toBe(1);
    const { postings, events } = leftIn(dir);
    const twice = twiceIn(postings);
    expect(twice.length).toBeGreaterThanOrEqual(1);
    expect(stdout).toContain(`FAIL: posted twice: ${twice.join(", ")}, which the fence would have prevented`);
    expect(new Set(postings.map(({ id }) => id)).size).toBe(executions.length);
    expect(events("refused")).toEqual([]);
  });
});
