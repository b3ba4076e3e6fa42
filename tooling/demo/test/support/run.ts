/** Runs the built demo as people do, and counts what it left behind. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { readHistories } from "../../src/history.ts";
import { Ledger, type Posting } from "../../src/ledger.ts";
import { filesIn } from "../../src/options.ts";

const main = fileURLToPath(new URL("../../dist/main.js", import.meta.url));

export function demo(...args: string[]): Promise<{ exitCode: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [main, ...args], (_, stdout, stderr) =>
      resolve({ exitCode: child.exitCode ?? -1, stdout, stderr }),
    );
  });
}

/** What the demo left in `--dir`, counted here and not by the demo. */
export function leftIn(dir: string): { postings: Posting[]; events: (name: string) => { id?: string }[] } {
  const ledger = new Ledger(filesIn(dir).ledger, false);
  const postings = ledger.postings();
  ledger.close();
  const all = [...readHistories(filesIn(dir).histories).values()].flat();
  return { postings, events: (name) => all.filter(({ event }) => event === name) };
}

/** The ids that were posted more than once. */
export function twiceIn(postings: readonly Posting[]): string[] {
  const ids = postings.map(({ id }) => id);
  return ids.filter((id, index) => ids.indexOf(id) !== index);
}
