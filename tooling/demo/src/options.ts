/** The command line of the demo. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

export const usage = `npm run demo -- [--input FILE] [--url URL] [--workers N] [--no-fence] [--dir FOLDER]

  --input FILE   executions as JSON lines (default: the 300 of tooling/demo/executions.jsonl)
  --url URL      where the locks are (default: a new SQLite file)
  --workers N    worker processes, 2 to 32 (default: 4)
  --no-fence     the ledger ignores tokens: shows the double posting
  --dir FOLDER   keeps the ledger and the histories there (default: a temporary folder, removed at the end)`;

export interface DemoOptions {
  readonly input: string;
  /** The default is a file in the run's folder, which is not known yet. */
  readonly url: string | undefined;
  readonly workers: number;
  readonly fenced: boolean;
  readonly dir: string | undefined;
  readonly help: boolean;
}

/** @throws Error that says what is wrong. */
export function parseOptions(args: readonly string[]): DemoOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      input: { type: "string", default: fileURLToPath(new URL("../executions.jsonl", import.meta.url)) },
      url: { type: "string" },
      workers: { type: "string", default: "4" },
      "no-fence": { type: "boolean", default: false },
      dir: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  const workers = Number(values.workers);
  if (!Number.isInteger(workers) || workers < 2 || workers > 32) throw new Error("--workers must be a whole number from 2 to 32");
  if (values.url?.startsWith("memory:")) {
    throw new Error("memory: keeps locks inside one process, and the demo runs several: take sqlite:, or the URL of a server");
  }
  return { input: values.input, url: values.url, workers, fenced: !values["no-fence"], dir: values.dir, help: values.help };
}

/** Where a run keeps its files. */
export function filesIn(dir: string): { ledger: string; histories: string; locks: string } {
  return { ledger: join(dir, "ledger.db"), histories: join(dir, "histories"), locks: join(dir, "locks.db") };
}
