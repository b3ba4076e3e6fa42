/** `dlock torture`: shows on the user's own server that locks hold what they promise while their holders are killed, stopped and cut off. */
import { findBackend, parseBackendUrl } from "@dlock/core";
import {
  faultsAt,
  type GivenOptions,
  isInMemory,
  providers,
  readOptions,
  report,
  type TortureOptions,
  targetAt,
  torture,
  type Verdict,
} from "@dlock-tooling/torture";
import type { Command } from "commander";
import { jsonOption, urlOption } from "./arguments.js";
import { withProvider } from "./connect.js";
import { exitCodes } from "./exit-codes.js";
import { complain, name, print, printJson, span } from "./show.js";
import { Signals } from "./signals.js";

interface TortureCommandOptions extends GivenOptions {
  readonly url: string;
  readonly json?: true;
}

export function addTorture(program: Command): void {
  program
    .command("torture")
    .description("show that locks hold while processes of this command's own are killed, stopped and cut off")
    .addOption(urlOption())
    .option("--minutes <n>", "how long, from 0.05 to 1440 (default: 1)")
    .option("--faults <list>", "kill, pause, partition, joined by commas, or none (default: all that are possible at the URL)")
    .option("--workers <n>", "how many processes, from 1 to 32 (default: 4)")
    .option("--tasks <n>", "how many in each of a process's two providers, from 1 to 100; fewer are gentler (default: 6)")
    .option("--ttl <duration>", "of the locks, from 500ms to 60s (default: 1500ms)")
    .option("--seed <n>", "repeats the choices of a run, though not its timing (default: random)")
    .addOption(jsonOption())
    .action(async (options: TortureCommandOptions) => {
      process.exitCode = await run(options);
    });
}

async function run({ url, json, ...given }: TortureCommandOptions): Promise<number> {
  const { name: backend, parsed } = parseBackendUrl("--url", url);
  const options = readOptions(given, { faults: faultsAt(url), inMemory: isInMemory(url) });
  await findBackend(backend);
  // A server that is away is no fault of the locks.
  await withProvider(url, (locks) => locks.ping());
  warn(parsed.host === "" ? name(backend) : `${name(backend)} at ${name(parsed.host)}`, options);
  const target = await targetAt(url, options);
  try {
    const verdict = await torture(target, options, new Signals().ending);
    if (json) printJson(toJson(verdict));
    else for (const line of report(verdict)) print(line);
    return verdict.pass ? exitCodes.ok : exitCodes.broken;
  } finally {
    await target.stop();
  }
}

/** What whoever shares the server should know before it begins. */
function warn(where: string, { workers, tasks, durationMs, faults, ttlMs, seed }: TortureOptions): void {
  const all = workers * providers * tasks;
  complain(
    `${name(where)} will serve ${workers} processes with ${all} tasks for ${span(durationMs)}, as fast as it can: that may be thousands`,
  );
  complain("of requests and of writes a second, and slows down whoever shares the server.");
  complain(
    `Faults: ${faults.join(", ") || "none"}; they strike those processes only, not the server and not the locks of others. All keys start`,
  );
  complain(
    `with "dlock-torture-", with a TTL of ${span(ttlMs)}, some of ten times that, and are removed at the end. Ctrl-C ends it early. Seed ${seed}.`,
  );
}

function toJson({ pass, backend, seed, wallMs, history, complaints, judgement }: Verdict): object {
  const { toldLateByClock: _, ...found } = judgement;
  return { pass, backend, seed, wallMs, ...found, complaints, history };
}
