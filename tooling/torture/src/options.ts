/** The command line of the torture run. */
import { parseArgs } from "node:util";
import { parseDuration } from "@dlock/core";

export const faultKinds = ["kill", "pause", "partition", "server"] as const;
export type FaultKind = (typeof faultKinds)[number];
export const backends = ["redis", "mysql", "etcd"] as const;
export type BackendName = (typeof backends)[number];

export const usage = `npm run torture -- [--url URL | --backend NAME] [--minutes N] [--faults LIST] [--workers N] [--seed N] [--ttl DURATION] [--no-fence] [--history FILE]

  --url URL         where the locks are (default: a new SQLite file); nothing but the run's own processes is harmed
  --backend NAME    starts a server of its own, which may be harmed: ${backends.join(", ")}
  --minutes N       how long, from 0.05 to 1440 (default: 1)
  --faults LIST     of kill, pause (longer than the TTL), and with --backend partition, server (default: all that are possible); none
  --workers N       worker processes, 1 to 32 (default: 4); memory: has one
  --seed N          repeats the choices of a run, though not its timing (default: random)
  --ttl DURATION    of the locks, 500ms to 60s (default: 1500ms)
  --no-fence        the protected data ignore tokens: shows what the fence is for
  --history FILE    where the history is kept (default: a new file in the temporary folder)`;

export interface TortureOptions {
  readonly url: string | undefined;
  readonly backend: BackendName | undefined;
  readonly durationMs: number;
  readonly faults: readonly FaultKind[];
  readonly workers: number;
  readonly seed: number;
  readonly ttlMs: number;
  readonly fenced: boolean;
  readonly history: string | undefined;
  readonly help: boolean;
}

/** @throws Error that says what is wrong. */
export function parseOptions(args: readonly string[]): TortureOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      url: { type: "string" },
      backend: { type: "string" },
      minutes: { type: "string", default: "1" },
      faults: { type: "string" },
      workers: { type: "string" },
      seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
      ttl: { type: "string", default: "1500ms" },
      "no-fence": { type: "boolean", default: false },
      history: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  const { url } = values;
  const backend = backends.find((name) => name === values.backend);
  if (values.backend !== undefined && backend === undefined) throw new Error(`--backend must be one of ${backends.join(", ")}`);
  if (url !== undefined && backend !== undefined) throw new Error("--url and --backend exclude each other");
  const inMemory = url?.startsWith("memory:") === true;
  const ttlMs = parseDuration("--ttl", values.ttl);
  if (ttlMs < 500 || ttlMs > 60_000) throw new Error("--ttl must be a duration from 500ms to 60s");
  return {
    url,
    backend,
    durationMs: number("--minutes", values.minutes, 0.05, 1_440) * 60_000,
    faults: faultsOf(values.faults, backend !== undefined, inMemory),
    workers: inMemory ? oneWorker(values.workers) : integer("--workers", values.workers ?? "4", 1, 32),
    seed: integer("--seed", values.seed, 0, 2 ** 32 - 1),
    ttlMs,
    fenced: !values["no-fence"],
    history: values.history,
    help: values.help,
  };
}

function faultsOf(list: string | undefined, ownServer: boolean, inMemory: boolean): FaultKind[] {
  // Whoever kills the one process kills the locks with it.
  const possible: readonly FaultKind[] = inMemory ? ["pause"] : ownServer ? faultKinds : ["kill", "pause"];
  if (list === undefined) return [...possible];
  if (list === "none") return [];
  return list.split(",").map((name) => {
    const kind = faultKinds.find((known) => known === name);
    if (kind === undefined) throw new Error(`--faults takes ${faultKinds.join(", ")} or none, not ${name}`);
    if (!possible.includes(kind))
      throw new Error(`--faults ${kind}: ${inMemory ? "not in one process" : "only on a server of our own: --backend"}`);
    return kind;
  });
}

function oneWorker(given: string | undefined): 1 {
  if (given !== undefined && given !== "1") throw new Error("memory: keeps locks inside one process: --workers 1");
  return 1;
}

function number(name: string, value: string, least: number, most: number): number {
  const parsed = Number(value);
  if (!(parsed >= least && parsed <= most)) throw new Error(`${name} must be a number from ${least} to ${most}`);
  return parsed;
}

function integer(name: string, value: string, least: number, most: number): number {
  const parsed = number(name, value, least, most);
  if (!Number.isInteger(parsed)) throw new Error(`${name} must be a whole number`);
  return parsed;
}
