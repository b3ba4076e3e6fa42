/** Owners: unguessable, new for each acquisition, and readable: `{hostname}-{8 hex}-{32 hex}`. */
import { randomBytes } from "node:crypto";
import { hostname } from "node:os";

/** `{hostname ≤ 64}-{8 hex}`: tells people where an owner lives. New for each call, since a hostname says nothing of a process. */
export function createInstanceId(): string {
  const host =
    hostname()
      .replace(/[^\x21-\x7e]/g, "")
      .slice(0, 64) || "host";
  return `${host}-${randomBytes(4).toString("hex")}`;
}

/** Random bits come from a pool: one call to the system for each owner would cost 2 µs. */
const poolBytes = 16 * 256;
let pool = "";
let used = 0;

/** 128 random bits as 32 hex digits (an owner made by host or process alone would make two tasks of one process the same holder). */
export function createOwner(instanceId: string): string {
  if (used === pool.length) {
    pool = randomBytes(poolBytes).toString("hex");
    used = 0;
  }
  const start = used;
  used += 32;
  return `${instanceId}-${pool.slice(start, used)}`;
}
