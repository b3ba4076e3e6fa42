/** What a run is to be like: the options of every command that starts one, and their ranges. */
import { parseDuration } from "@dlock/core";

/** In the order of their harm. `clock` is that of the workers. */
export const faultKinds = ["kill", "pause", "partition", "server", "clock", "server-clock"] as const;
export type FaultKind = (typeof faultKinds)[number];

export interface TortureOptions {
  readonly durationMs: number;
  readonly faults: readonly FaultKind[];
  readonly workers: number;
  /** How many each of a worker's providers has. */
  readonly tasks: number;
  readonly seed: number;
  readonly ttlMs: number;
}

/** As they were given on the command line. */
export interface GivenOptions {
  readonly minutes?: string | undefined;
  readonly faults?: string | undefined;
  readonly workers?: string | undefined;
  readonly tasks?: string | undefined;
  readonly seed?: string | undefined;
  readonly ttl?: string | undefined;
}

/** What the locks under torture allow. */
export interface Arena {
  readonly faults: readonly FaultKind[];
  /** The locks are in the memory of one process. */
  readonly inMemory: boolean;
}

/** @throws RangeError that says what is wrong. */
export function readOptions(given: GivenOptions, { faults, inMemory }: Arena): TortureOptions {
  const ttlMs = parseDuration("--ttl", given.ttl ?? "1500ms");
  if (ttlMs < 500 || ttlMs > 60_000) throw new RangeError("--ttl must be a duration from 500ms to 60s");
  const workers = integer("--workers", given.workers ?? (inMemory ? "1" : "4"), 1, 32);
  if (inMemory && workers !== 1) throw new RangeError("memory: keeps locks inside one process: --workers 1");
  return {
    durationMs: number("--minutes", given.minutes ?? "1", 0.05, 1_440) * 60_000,
    faults: faultsOf(given.faults, faults),
    workers,
    tasks: integer("--tasks", given.tasks ?? "6", 1, 100),
    seed: integer("--seed", given.seed ?? String(Math.floor(Math.random() * 2 ** 31)), 0, 2 ** 32 - 1),
    ttlMs,
  };
}

function faultsOf(list: string | undefined, possible: readonly FaultKind[]): FaultKind[] {
  // With a server's clock stepped nobody can be told in time, so that one is only for those who ask for it.
  if (list === undefined) return possible.filter((kind) => kind !== "server-clock");
  if (list === "none") return [];
  const kinds = list.split(",").map((name) => {
    const kind = possible.find((known) => known === name);
    if (kind === undefined) throw new RangeError(`--faults takes ${possible.join(", ")} or none for these locks, not ${name}`);
    return kind;
  });
  if (kinds.includes("server-clock") && kinds.includes("kill"))
    throw new RangeError("--faults server-clock goes without kill: when a clock goes back, the lock of a dead holder lasts so much longer");
  return kinds;
}

function number(name: string, value: string, least: number, most: number): number {
  const parsed = value.trim() === "" ? Number.NaN : Number(value);
  if (!(parsed >= least && parsed <= most)) throw new RangeError(`${name} must be a number from ${least} to ${most}`);
  return parsed;
}

function integer(name: string, value: string, least: number, most: number): number {
  const parsed = number(name, value, least, most);
  if (!Number.isInteger(parsed)) throw new RangeError(`${name} must be a whole number`);
  return parsed;
}
