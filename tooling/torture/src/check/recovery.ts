/** How soon after a fault the locks that it concerned were granted again. */
import type { Event } from "../history.js";
import { type Hold, type Holds, wasBelieved } from "./holds.js";

/**
 * In ms, in no order: for a process that was killed or stopped, from then to the next grant of each key that it held exclusively; for a server
 * or a network that came back, from then to the next grant of anything. Locks of a longer TTL than `longestTtlMs` do not count.
 */
export function recoveryTimes(events: readonly Event[], { holds }: Holds, longestTtlMs: number): number[] {
  const all = [...holds.values()].flat().sort((a, b) => a.from - b.from);
  return events.flatMap(({ type, fault, target, at }) => {
    if (type !== "fault") return [];
    if (fault === "kill" || fault === "stop") {
      const concerned = all.filter(
        (hold) => hold.process === target && hold.mode === "exclusive" && hold.ttlMs <= longestTtlMs && hold.from <= at && hold.until >= at,
      );
      return concerned.flatMap((hold) => sinceUntilNext(holds.get(hold.key) ?? [], at, target));
    }
    return fault === "heal" || fault === "server back" ? sinceUntilNext(all, at, undefined) : [];
  });
}

function sinceUntilNext(holds: readonly Hold[], at: number, notBy: string | undefined): number[] {
  const next = holds.find((hold) => hold.from > at && hold.process !== notBy && wasBelieved(hold));
  return next === undefined ? [] : [next.from - at];
}

/** @param share from 0 to 1. NaN when there are no values. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(Math.floor(share * sorted.length), sorted.length - 1)] ?? Number.NaN;
}
