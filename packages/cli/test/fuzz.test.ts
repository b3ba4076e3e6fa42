/** Any command line: it ends by itself with a documented code, says what is wrong in words and not with a stack trace, and holds nothing. */
import fc from "fast-check";
import { expect, test, vi } from "vitest";
import { exitCodes } from "../src/exit-codes.ts";
import { Folder } from "./support/dlock.ts";

// Each run is a process of its own.
vi.setConfig({ testTimeout: 120_000 });

const word = fc.oneof(
  fc.constantFrom(
    "k",
    "",
    " ",
    "-",
    "--",
    "5",
    "-1",
    "0",
    "1e9",
    "NaN",
    "30s",
    "1y",
    "x".repeat(300),
    "é",
    "a\u001b[31m",
    "__proto__",
    "%",
  ),
  // An argument of a process cannot hold a NUL.
  fc.string({ unit: "grapheme", maxLength: 12 }).map((text) => text.replaceAll("\0", "")),
);
const url = fc.constantFrom(
  "memory:",
  "sqlite:./dlock.db",
  "sqlite:/nowhere/at/all.db",
  "sqlite:%zz",
  "sqllite:x",
  "redis://me:hunter2@127.0.0.1:1",
  "x",
  "",
);
const option = fc.oneof(
  fc.tuple(fc.constantFrom("--ttl", "--wait", "--owner", "--mode", "--limit", "--metadata", "--table", "--prefix", "--nothing"), word),
  fc.tuple(fc.constant("--url"), url),
  fc.constantFrom(["--json"], ["--help"], ["--yes"], ["--force"]),
);
const commandLine = fc
  .record({
    command: fc.constantFrom("run", "inspect", "list", "unlock", "doctor", "schema", "", "nothing"),
    options: fc.array(option, { maxLength: 3 }),
    words: fc.array(word, { maxLength: 3 }),
    child: fc.option(fc.constantFrom([], ["true"], ["false"], ["no such command"], [""], ["/"]), { nil: undefined }),
  })
  .map(({ command, options, words, child }) => [command, ...options.flat(), ...words, ...(child === undefined ? [] : ["--", ...child])]);

test("any command line ends with a documented code and words", async () => {
  const codes = new Set<number | null>(Object.values(exitCodes));
  const folder = new Folder();
  await fc.assert(
    fc.asyncProperty(commandLine, async (args) => {
      const { exitCode, stdout, stderr } = await folder.run(...args);
      expect(codes, stderr).toContain(exitCode);
      expect(stderr).not.toMatch(/^ {4}at |node:internal/m);
      expect(stdout + stderr).not.toContain("hunter2");
      if (exitCode !== 0 && exitCode !== 1) expect(stderr).not.toBe("");
    }),
    { numRuns: 40 },
  );
  const left: string[] = [];
  for await (const { key } of folder.locks().list()) left.push(key);
  expect(left).toEqual([]);
});
