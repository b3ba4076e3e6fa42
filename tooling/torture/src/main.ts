/** `npm run torture`: a run on a server of our own or at a URL. Exits with 0 for PASS, else with 1. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { fakeTimeLibrary } from "@dlock-tooling/services";
import { faultKinds, readOptions } from "./options.js";
import { backends, faultsOnOwn, startTarget } from "./own-server.js";
import { report } from "./report.js";
import { torture } from "./run.js";
import { faultsAt, isInMemory, type Target, targetAt } from "./target.js";

const usage = `npm run torture -- [--url URL | --backend NAME] [--minutes N] [--faults LIST] [--workers N] [--tasks N] [--seed N] [--ttl DURATION] [--no-fence] [--history FILE]

  --url URL         where the locks are (default: a new SQLite file); nothing but the run's own processes is harmed
  --backend NAME    starts a server of its own, which may be harmed: ${backends.join(", ")}
  --minutes N       how long, from 0.05 to 1440 (default: 1)
  --faults LIST     of ${faultKinds.join(", ")} (default: all that are possible but server-clock); none
  --workers N       worker processes, 1 to 32 (default: 4); memory: has one
  --tasks N         of each of the two providers of a worker, 1 to 100 (default: 6)
  --seed N          repeats the choices of a run, though not its timing (default: random)
  --ttl DURATION    of the locks, 500ms to 60s (default: 1500ms)
  --no-fence        the protected data ignore tokens: shows what the fence is for
  --history FILE    where the history is kept (default: a new file in the temporary folder)`;

try {
  process.exitCode = (await main(process.argv.slice(2))) ? 0 : 1;
} catch (error) {
  console.error(`torture: ${(error as Error).message}`);
  process.exitCode = 1;
}

async function main(args: string[]): Promise<boolean> {
  const { values } = parseArgs({
    args,
    options: {
      url: { type: "string" },
      backend: { type: "string" },
      minutes: { type: "string" },
      faults: { type: "string" },
      workers: { type: "string" },
      tasks: { type: "string" },
      seed: { type: "string" },
      ttl: { type: "string" },
      "no-fence": { type: "boolean", default: false },
      history: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(usage);
    return true;
  }
  const backend = backends.find((name) => name === values.backend);
  if (values.backend !== undefined && backend === undefined) throw new RangeError(`--backend must be one of ${backends.join(", ")}`);
  if (values.url !== undefined && backend !== undefined) throw new RangeError("--url and --backend exclude each other");
  const folder = mkdtempSync(join(tmpdir(), "dlock-torture-"));
  const interrupt = new AbortController();
  const onSignal = () => interrupt.abort();
  process.once("SIGINT", onSignal).once("SIGTERM", onSignal);
  let target: Target | undefined;
  try {
    const url = values.url ?? `sqlite:${encodeURI(join(folder, "locks.db"))}`;
    const faults =
      backend === undefined ? [...faultsAt(url), ...(fakeTimeLibrary() !== undefined ? (["clock"] as const) : [])] : faultsOnOwn(backend);
    const options = readOptions(values, { faults, inMemory: backend === undefined && isInMemory(url) });
    target = await (backend === undefined ? targetAt(url, options) : startTarget(backend, options));
    const { workers, durationMs, seed } = options;
    const harm = options.faults.join(", ") || "none";
    console.log(`${target.name}: ${workers} workers for ${durationMs / 1_000} s, faults: ${harm}, seed ${seed} ...\n`);
    const history = values.history === undefined ? {} : { history: resolve(values.history) };
    const verdict = await torture(target, { ...options, fenced: !values["no-fence"], ...history }, interrupt.signal);
    console.log(report(verdict).join("\n"));
    return verdict.pass;
  } finally {
    process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
    await target?.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}
