/** How soon after a fault that which it concerned was granted again. */
import type { Event, FaultName } from "../history.js";
import { type Hold, type Holds, wasBelieved } from "./holds.js";

export interface Recovery {
  /** The kind of faults, as `--faults` names it. */
  readonly kind: string;
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** From which events on the time counts; the clock of a worker concerns nobody. */
const kinds: Partial<Record<FaultName, string>> = {
  kill: "kill",
  stop: "pause",
  cut: "partition",
  heal: "partition",
  "server back": "server",
  "server clock": "server-clock",
};

/**
 * For a process that was killed or stopped, from then to the next grant to another of each key that it held exclusively, where that other asked
 * before the lease ended: what nobody wants is granted to nobody. For a network that was cut or came back, from then to the next grant to its
 * process, unless that is struck again before; for a server that came back, or whose clock was stepped, from then to the next grant of anything,
 * with the same exception. Locks of a longer TTL than `longestTtlMs` do not count.
 */
export function recoveriesOf(events: readonly Event[], { holds }: Holds, longestTtlMs: number): Recovery[] {
  const all = [...holds.values()].flat().filter(wasBelieved);
  all.sort((a, b) => a.from - b.from);
  const times = new Map<string, number[]>();
  const faults = events.filter(({ type }) => type === "fault");
  for (const [index, { fault, target, at }] of faults.entries()) {
    const kind = fault === undefined ? undefined : kinds[fault];
    if (kind === undefined) continue;
    const ofKind = times.get(kind) ?? [];
    times.set(kind, ofKind);
    if (kind === "kill" || kind === "pause") {
      const concerned = all.filter(
        (hold) => hold.process === target && hold.mode === "exclusive" && hold.ttlMs <= longestTtlMs && hold.from <= at && hold.until >= at,
      );
      for (const { key, leaseUntil } of concerned) {
        const next = nextOf(holds.get(key) ?? [], at, ({ process }) => process !== target);
        if (next !== undefined && next.askedAt <= leaseUntil) ofKind.push(next.from - at);
      }
    } else {
      const again =
        faults.slice(index + 1).find((other) => other.target === target && other.fault !== "clock")?.at ?? Number.POSITIVE_INFINITY;
      const next = nextOf(all, at, ({ process }) => target === undefined || process === target);
      if (next !== undefined && next.from < again) ofKind.push(next.from - at);
    }
  }
  return [...times]
    .filter(([, { length }]) => length > 0)
    .map(([kind, ms]) => ({ kind, count: ms.length, p50Ms: quantile(ms, 0.5), p99Ms: quantile(ms, 0.99) }));
}

function nextOf(holds: readonly Hold[], at: number, concerns: (hold: Hold) => boolean): Hold | undefined {
  return holds.find((hold) => hold.from > at && concerns(hold) && wasBelieved(hold));
}

/** @param share from 0 to 1. */
function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(Math.floor(share * sorted.length), sorted.length - 1)] ?? Number.NaN;
}
