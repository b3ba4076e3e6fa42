/** Ghosts: someone waits for a key, nobody believes to hold it, no lease that anyone knows of is left, and yet it is refused for long. */
import type { Hold, Wait } from "./holds.js";

/** What is undone is undone each second, on a busy machine a little later. */
export const longestGhostMs = 6_000;

export interface Span {
  readonly from: number;
  readonly until: number;
}

/** When a process could not ask, or undo what it had asked for; all processes where none is named. */
export interface Outage extends Span {
  readonly process: string | undefined;
  /** It is dead: what it asked for lives for its TTL. */
  readonly dead: boolean;
}

/** @param holds of one key. @param waits for that key. Returns a line for each ghost. */
export function checkGhosts(holds: readonly Hold[], waits: readonly Wait[], outages: readonly Outage[]): string[] {
  // A lease is excuse enough, as far as its holder knew of it.
  const leases: Span[] = holds.map(({ from, leaseUntil }) => ({ from, until: leaseUntil }));
  const unknown = outages.flatMap((outage) => unknownLeases(waits, outage));
  const faults: string[] = [];
  for (const wait of waits) {
    if (wait.until - wait.from <= longestGhostMs) continue;
    const own = outages.filter(({ process }) => process === undefined || process === wait.process);
    const taken = [...leases, ...unknown, ...own].sort((a, b) => a.from - b.from);
    let freeSince = wait.from;
    let longest = 0;
    for (const { from, until } of taken) {
      if (from > wait.until) break;
      longest = Math.max(longest, from - freeSince);
      freeSince = Math.max(freeSince, until);
    }
    longest = Math.max(longest, wait.until - freeSince);
    if (longest > longestGhostMs) faults.push(`${wait.process} waited for ${wait.key} while it was nobody's for ${longest.toFixed(0)} ms`);
  }
  return faults;
}

/** Whoever was struck while it asked may have been granted a lease that no history tells of, and undoes it when it can. */
function unknownLeases(waits: readonly Wait[], { process, from, until, dead }: Outage): Span[] {
  return waits
    .filter((wait) => (process === undefined || wait.process === process) && wait.from <= until && wait.until >= from)
    .map(({ ttlMs }) => ({ from, until: dead ? from + ttlMs : until }));
}
