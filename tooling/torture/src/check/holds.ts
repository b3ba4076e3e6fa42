/** From events to holds: from when to when a process believed to hold a lock, and who waited for it. */
import type { Event, Mode } from "../history.js";

/** Two clocks of one machine, read one after the other and rounded, may disagree by so much. */
export const clockErrorMs = 1;

export interface Hold {
  readonly process: string;
  readonly key: string;
  readonly mode: Mode;
  readonly limit: number | undefined;
  readonly token: bigint;
  readonly ttlMs: number;
  /** When it was asked for. */
  readonly askedAt: number;
  readonly from: number;
  /** Until when it was believed in: the deadline its process knew, or the moment it let go, was told of a loss, or died. */
  until: number;
  /** Until when the server may keep the lease, as far as the process knew: its deadline, unless a release was answered before. */
  leaseUntil: number;
}

export interface Wait {
  readonly process: string;
  readonly key: string;
  readonly ttlMs: number;
  readonly from: number;
  readonly until: number;
}

export interface Holds {
  /** By key, in the order of their beginning. */
  readonly holds: ReadonlyMap<string, readonly Hold[]>;
  readonly waits: readonly Wait[];
}

/** @param events in the order of time. */
export function holdsOf(events: readonly Event[]): Holds {
  const holds = new Map<string, Hold[]>();
  const open = new Map<string, Hold>();
  const asked = new Map<string, Event>();
  const waits: Wait[] = [];
  const nameOf = ({ process, key, token }: Event) => `${process} ${key} ${token}`;
  const endWait = (id: string, at: number): { ttlMs: number; askedAt: number } => {
    const start = asked.get(id);
    if (start === undefined) return { ttlMs: 0, askedAt: at };
    const { process, key = "", ttlMs = 0 } = start;
    waits.push({ process, key, ttlMs, from: start.at, until: at });
    asked.delete(id);
    return { ttlMs, askedAt: start.at };
  };
  for (const event of events) {
    const { at, process, type, op, key = "", mode = "exclusive", limit, token = "0", until = at } = event;
    if (op === "lock" && type === "invoke") asked.set(`${process} ${event.id}`, event);
    else if (op === "lock") {
      const asking = endWait(`${process} ${event.id}`, at);
      if (type !== "ok") continue;
      const hold = { process, key, mode, limit, token: BigInt(token), ...asking, from: at, until, leaseUntil: until };
      open.set(nameOf(event), hold);
      const ofKey = holds.get(key) ?? [];
      holds.set(key, ofKey);
      ofKey.push(hold);
    }
    const hold = open.get(nameOf(event));
    if (type === "renewed" && hold !== undefined) {
      hold.until = until;
      hold.leaseUntil = until;
    }
    // A clock that went back could make it believe for longer than it was granted.
    if (type === "held" && hold !== undefined) hold.until = Math.max(hold.until, until);
    if (hold !== undefined && (type === "lost" || (op === "unlock" && type === "invoke"))) hold.until = Math.min(hold.until, at);
    if (hold !== undefined && op === "unlock" && type === "ok") hold.leaseUntil = Math.min(hold.leaseUntil, at);
    if (type === "fault" && event.fault === "kill") {
      for (const each of open.values()) if (each.process === event.target) each.until = Math.min(each.until, at);
      // Whoever died waits no more.
      for (const [id, { process: waiter }] of [...asked]) if (waiter === event.target) endWait(id, at);
    }
  }
  return { holds, waits };
}

/** Whether the process ever could believe in it: one that was stopped while it was granted finds it over. */
export function wasBelieved(hold: Hold): boolean {
  return hold.until > hold.from;
}

/**
 * Whether the server's clock went forward while it kept the lease of a hold, as far as `at`. The lease may be older than the hold, by up to its
 * TTL without a renewal that would tell of the end: inside a process it is handed on. And a step comes a moment after it was noted.
 */
export function wasStepped({ askedAt, ttlMs }: Hold, at: number, forward: readonly number[]): boolean {
  return forward.some((step) => step >= askedAt - ttlMs && step <= at);
}
