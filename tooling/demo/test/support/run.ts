/** Runs the built demo as people do, and counts what it left behind. */
import { type ChildProcess, execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { readHistories } from "../../src/history.ts";
import { Ledger, type Posting } from "../../src/ledger.ts";
import { filesIn } from "../../src/options.ts";

const main = fileURLToPath(new URL("../../dist/main.js", import.meta.url));

interface End {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export function demo(...args: string[]): Promise<End> {
  return running(...args).end;
}

/** For those who want to do something to its processes. */
export function running(...args: string[]): { workers(): number[]; end: Promise<End> } {
  let child: ChildProcess | undefined;
  const end = new Promise<End>((resolve) => {
    child = execFile(process.execPath, [main, ...args], (_, stdout, stderr) =>
      resolve({ exitCode: child?.exitCode ?? -1, stdout, stderr }),
    );
  });
  const workers = () =>
    readFileSync(`/proc/${child?.pid}/task/${child?.pid}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number);
  return { workers, end };
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
