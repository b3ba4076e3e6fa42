/** Locks under faults: many processes, random accidents, and a verdict on all that they believed. Exits with 0 for PASS, else with 1. */
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { judge } from "./check/judge.js";
import { Faults } from "./faults.js";
import { History, merge, now } from "./history.js";
import { parseOptions, type TortureOptions, usage } from "./options.js";
import { Random } from "./random.js";
import { Registers } from "./register.js";
import { report } from "./report.js";
import { Supervisor } from "./supervisor.js";
import { startTarget, type Target, targetAt } from "./target.js";

try {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) console.log(usage);
  else process.exitCode = (await torture(options)) ? 0 : 1;
} catch (error) {
  console.error(`torture: ${(error as Error).message}`);
  process.exitCode = 1;
}

async function torture(options: TortureOptions): Promise<boolean> {
  const { url, backend, workers, seed, ttlMs, fenced, faults, durationMs } = options;
  const folder = mkdtempSync(join(tmpdir(), "dlock-torture-"));
  const historyFile = resolve(options.history ?? join(tmpdir(), `dlock-torture-${seed}-${randomBytes(2).toString("hex")}.jsonl`));
  const histories = join(folder, "histories");
  mkdirSync(histories);
  mkdirSync(dirname(historyFile), { recursive: true });
  let target: Target | undefined;
  const interrupt = new AbortController();
  const onSignal = () => interrupt.abort();
  process.once("SIGINT", onSignal).once("SIGTERM", onSignal);
  try {
    target =
      backend === undefined
        ? targetAt(url ?? `sqlite:${encodeURI(join(folder, "locks.db"))}`, workers)
        : await startTarget(backend, workers);
    const name = backend ?? target.url.slice(0, target.url.indexOf(":"));
    console.log(`${name}: ${workers} workers for ${durationMs / 1_000} s, faults: ${faults.join(", ") || "none"}, seed ${seed} ...\n`);
    const history = new History(histories, "supervisor");
    const keyPrefix = `torture-${randomBytes(4).toString("hex")}:`;
    const job = { seed, keyPrefix, histories, ttlMs, providers: 2, tasks: 6 };
    const supervisor = new Supervisor(job, target.urls, new Registers(fenced), history);
    const from = now();
    supervisor.start();
    await new Faults(supervisor, target, history, new Random(seed), ttlMs).run(faults, durationMs, interrupt.signal);
    await supervisor.end();
    const wallMs = now() - from;
    history.close();
    const events = merge(histories, historyFile);
    const { lines, pass } = report(
      { backend: name, seed, wallMs, history: historyFile, fenced, complaints: supervisor.complaints },
      judge(events, ttlMs),
      events,
    );
    console.log(lines.join("\n"));
    return pass;
  } finally {
    process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
    await target?.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}
