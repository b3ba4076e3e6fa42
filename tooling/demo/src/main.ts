/** The main job: many workers, two accidents, one ledger, and a verdict. Exits with 0 for PASS, else with 1. */
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { readExecutions } from "./executions.js";
import { readHistories } from "./history.js";
import { judge } from "./judge.js";
import { Ledger } from "./ledger.js";
import { type DemoOptions, filesIn, parseOptions, usage } from "./options.js";
import { report } from "./report.js";
import { Supervisor } from "./supervisor.js";

try {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) console.log(usage);
  else process.exitCode = (await demo(options)) ? 0 : 1;
} catch (error) {
  console.error(`demo: ${(error as Error).message}`);
  process.exitCode = 1;
}

async function demo(options: DemoOptions): Promise<boolean> {
  const executions = readExecutions(options.input);
  const dir = options.dir === undefined ? mkdtempSync(join(tmpdir(), "dlock-demo-")) : resolve(options.dir);
  const files = filesIn(dir);
  // Fails where an earlier run has left its files: two runs in one ledger would look like a fault.
  mkdirSync(dir, { recursive: true });
  mkdirSync(files.histories);
  try {
    const url = options.url ?? `sqlite:${encodeURI(files.locks)}`;
    const ledger = new Ledger(files.ledger, options.fenced);
    console.log(`${executions.length} executions, ${options.workers} workers: one will be killed, one will oversleep ...\n`);
    const { wallMs, complaints } = await new Supervisor({
      url,
      keyPrefix: `demo-${randomBytes(4).toString("hex")}:`,
      ledger: files.ledger,
      histories: files.histories,
      fenced: options.fenced,
      executions,
    }).run(options.workers);
    const histories = readHistories(files.histories);
    const judgement = judge(executions, ledger.postings(), histories);
    ledger.close();
    const facts = {
      backend: url.slice(0, url.indexOf(":")),
      fenced: options.fenced,
      executions: executions.length,
      workers: options.workers,
    };
    const { lines, pass } = report({ ...facts, wallMs, complaints }, judgement, histories);
    console.log(lines.join("\n"));
    return pass;
  } finally {
    if (options.dir === undefined) rmSync(dir, { recursive: true });
  }
}
