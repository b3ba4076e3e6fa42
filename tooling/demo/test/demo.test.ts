/** The main job as people run it: with the fence nothing is posted twice, without it something is. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { readExecutions } from "../src/executions.ts";
import { generateExecutions, toJsonLines } from "../src/generate.ts";
import { demo, leftIn, running, twiceIn } from "./support/run.ts";

const input = fileURLToPath(new URL("../executions.jsonl", import.meta.url));
/** A run takes a few seconds; this is for machines that have much else to do. */
const timeout = 90_000;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "dlock-demo-test-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe("the main job", () => {
  test("posts every execution exactly once, although one worker is killed and one oversleeps", { timeout }, async () => {
    const { exitCode, stdout, stderr } = await demo("--dir", folder);
    expect(stdout + stderr).toMatch(/\nPASS\n$/);
    expect(exitCode).toBe(0);
    const { postings, events } = leftIn(folder);
    const byId = (a: { id: string }, b: { id: string }) => (a.id < b.id ? -1 : 1);
    const expected = readExecutions(input).map(({ id, amount }) => ({ id, amount }));
    expect(postings.map(({ id, amount }) => ({ id, amount })).sort(byId)).toEqual(expected.sort(byId));
    for (const accident of ["killed", "stopped", "continued"]) expect(events(accident)).toHaveLength(1);
    expect(events("refused").length).toBeGreaterThanOrEqual(1);
  });

  test("posts an execution twice without the fence, and says so", { timeout }, async () => {
    const { exitCode, stdout } = await demo("--dir", folder, "--no-fence");
    expect(exitCode).toBe(1);
    const { postings, events } = leftIn(folder);
    const twice = twiceIn(postings);
    expect(twice.length).toBeGreaterThanOrEqual(1);
    expect(stdout).toContain(`FAIL: posted twice: ${twice.join(", ")}, which the fence would have prevented`);
    expect(new Set(postings.map(({ id }) => id)).size).toBe(readExecutions(input).length);
    expect(events("refused")).toEqual([]);
  });

  test("takes an input of one execution and two workers, and both accidents happen to it", { timeout }, async () => {
    const file = join(folder, "one.jsonl");
    writeFileSync(file, toJsonLines(generateExecutions(1)));
    const { exitCode, stdout } = await demo("--input", file, "--workers", "2");
    expect(stdout).toMatch(/takeovers +2\nrefused stale writes +1\n/);
    expect(stdout).toMatch(/\n(w[12]) +\|.*X.*\|\n\1' +\|/);
    expect(exitCode).toBe(0);
  });

  test("ends at once, and says so, when a worker dies that was not to die", { timeout }, async () => {
    const { workers, end } = running("--dir", folder);
    const victim = await vi.waitUntil(() => workers()[0], { timeout });
    process.kill(victim, "SIGBUS");
    const { exitCode, stdout } = await end;
    expect(stdout).toContain("ended with SIGBUS");
    expect(exitCode).toBe(1);
  });

  test.each([
    ["memory:, whose locks no other process sees", ["--url", "memory:"], "runs several"],
    ["one worker, whom nobody could relieve", ["--workers", "1"], "from 2 to 32"],
    ["an unknown option", ["--fast"], "--fast"],
    ["an input that is not there", ["--input", "no-such-file"], "no-such-file"],
  ])("refuses %s", async (_, args, message) => {
    const { exitCode, stdout, stderr } = await demo(...args);
    expect(exitCode).toBe(1);
    expect(stdout).toBe("");
    expect(stderr).toMatch(new RegExp(`^demo: .*(${message})`));
  });

  test.each([
    ["a line that is no JSON", "{\n", ":1: "],
    ["a line that is no execution", '\n{"id":"a","template":"t","workMs":1}\n', ":2: an execution is"],
    ["an id that is there twice", toJsonLines([...generateExecutions(1), ...generateExecutions(1)]), ":2: the id exec-0001 is there twice"],
    ["no lines", "", " holds no executions"],
  ])("refuses an input with %s", (_, text, message) => {
    const file = join(folder, "input.jsonl");
    writeFileSync(file, text);
    expect(() => readExecutions(file)).toThrow(file + message);
  });

  test("comes with the 300 executions that the generator makes", () => {
    expect(readFileSync(input, "utf8")).toBe(toJsonLines(generateExecutions(300)));
  });
});
