/** The engine's fairness between processes, on a real file: a lease is handed on inside a process only so often before the other has its turn. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { temporaryFolder } from "./support/files.ts";

const main = fileURLToPath(new URL("support/turns-main.mjs", import.meta.url));
const sections = 1_500;

it("a process whose tasks all want one key lets another process have its turn after handOff.max", { timeout: 120_000 }, async () => {
  const folder = temporaryFolder();
  const log = join(folder, "log");
  const processes = [0, 1].map(() => fork(main, [join(folder, "locks.db"), log, String(sections)]));
  await Promise.all(processes.map((each) => once(each, "message")));
  const exits = processes.map((each) => once(each, "exit"));
  for (const each of processes) each.send("go");
  expect((await Promise.all(exits)).map(([code]) => code)).toEqual([0, 0]);

  const holders = readFileSync(log, "utf8").trim().split("\n");
  expect(holders.length).toBe(2 * sections);
  // While both have work, until the first of them is through.
  const last = Math.min(...processes.map(({ pid }) => holders.lastIndexOf(String(pid))));
  const contested = holders.slice(
    holders.findIndex((pid) => pid !== holders[0]),
    last + 1,
  );
  const turns = contested.filter((pid, i) => i > 0 && pid !== contested[i - 1]).length;
  // Without turns there is one change at the most. How many of those due really come depends on how soon a busy machine runs whoever was woken.
  expect(turns).toBeGreaterThan(3);
});
