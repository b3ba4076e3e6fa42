/** The guard for data in the file that the locks are in: inside of the user's own transaction, it refuses whoever was overtaken. */
import { fenceOf, type Lock, LockLostError } from "@dlock/core";
import type { SqliteDatabase } from "./database.js";
import { hostClock } from "./host-clock.js";
import { Leases } from "./leases.js";
import { prepareLookup } from "./schema.js";

/**
 * Makes a guard for writes to `database`. Call it with the lock inside of each transaction that the lock protects; a transaction it throws in
 * must be rolled back, as better-sqlite3's `database.transaction(...)` does.
 *
 * The file has one writer at a time, and a transaction writes only on top of what it has read. So no successor can be granted the lock
 * between the guard's look at the lease and the commit, even if the lease ends meanwhile: what this transaction writes is there before the
 * successor's first look. Begin with `immediate`, or a commit of somebody else after the guard's look makes the transaction fail as busy.
 *
 * @param database an open better-sqlite3 `Database` of the file the locks are in. Data in files attached to it is not protected.
 * @returns what takes the handle of a lock. It throws LockLostError (reason `fenced`) when the lease is not live with this lock's token in
 * this file, TypeError outside of a transaction, for what is no lock, for a shared one and for a database without lock tables, and
 * LockNotHeldError for a lock that is released or lost.
 */
export function sqliteGuard(database: SqliteDatabase): (lock: Lock) => void {
  const leases = new Leases(hostClock);
  let lookup: ReturnType<typeof prepareLookup> | undefined;
  return (lock) => {
    const { key, serverToken } = fenceOf(lock);
    if (!database.inTransaction) throw new TypeError("a guard works inside of the transaction that writes: begin it before");
    lookup ??= prepare(database);
    const row = lookup(key, serverToken);
    if (row === undefined || leases.remaining(row, leases.clock.now()) <= 0n) throw new LockLostError(key, "fenced");
  };
}

function prepare(database: SqliteDatabase): ReturnType<typeof prepareLookup> {
  try {
    return prepareLookup(database);
  } catch (error) {
    if (!/no such table/.test((error as Error).message)) throw error;
    throw new TypeError(`database must be of the file the locks are in: ${database.name} has no lock tables`, { cause: error });
  }
}
