/** From histories to holds: from when to when a worker believed to hold a lock, and what it did by that belief. */
import type { Event, Histories } from "./history.js";

export interface Write {
  readonly at: number;
  readonly accepted: boolean;
}

export interface Hold {
  readonly worker: string;
  readonly id: string;
  readonly token: bigint;
  readonly from: number;
  /** When the ledger had answered whether the execution was posted before; Infinity if it was never asked. */
  lookedAt: number;
  /** Until when the worker could believe that it held the lock: the deadline it knew, or the moment it let go or died. */
  until: number;
  /** When it began to let go; Infinity if it never did. */
  releasedAt: number;
  readonly writes: Write[];
}

/** The holds of each execution, in the order in which they began. */
export function holdsOf(histories: Histories): Map<string, Hold[]> {
  const holds = [...histories].flatMap(([worker, events]) => holdsOfWorker(worker, events));
  holds.sort((a, b) => a.from - b.from);
  const byId = new Map<string, Hold[]>();
  for (const hold of holds) {
    const others = byId.get(hold.id);
    if (others === undefined) byId.set(hold.id, [hold]);
    else others.push(hold);
  }
  return byId;
}

const never = Number.POSITIVE_INFINITY;

function holdsOfWorker(worker: string, events: readonly Event[]): Hold[] {
  const holds: Hold[] = [];
  for (const { at, event, id = "", token = "0", until = at } of events) {
    if (event === "acquired") {
      holds.push({ worker, id, token: BigInt(token), from: at, lookedAt: never, until, releasedAt: never, writes: [] });
    }
    // A worker holds one lock at a time, so that what it does belongs to the last.
    const hold = holds.at(-1);
    if (hold === undefined) continue;
    if (event === "renewed" && id === hold.id) hold.until = until;
    if (event === "looked") hold.lookedAt = at;
    if (event === "posted" || event === "refused") hold.writes.push({ at, accepted: event === "posted" });
    if (event === "released") hold.releasedAt = at;
    if (event === "released" || event === "killed") hold.until = Math.min(hold.until, at);
  }
  return holds;
}

/** Two holds of one key that met: the older one was still believed in, or acted upon, when the newer one had begun. */
export interface Overlap {
  readonly older: Hold;
  readonly newer: Hold;
  /** Whether the older one's worker would have said that it holds the lock (`isHeld`). */
  readonly believed: boolean;
  /** Writes by the older one after the newer one had looked into the ledger: each may post a second time. */
  readonly staleWrites: readonly Write[];
}

export function overlapsOf(holds: readonly Hold[]): Overlap[] {
  const overlaps: Overlap[] = [];
  for (const [index, older] of holds.entries()) {
    for (const newer of holds.slice(index + 1)) {
      const staleWrites = older.writes.filter(({ at }) => at > newer.lookedAt);
      const believed = older.until > newer.from;
      if (believed || older.writes.some(({ at }) => at > newer.from)) overlaps.push({ older, newer, believed, staleWrites });
    }
  }
  return overlaps;
}
