/** The driver: the contract's calls as transactions of the store. */
import {
  type AcquireClaim,
  type AcquireResult,
  type Clock,
  checkSection,
  type DriverError,
  isDriverError,
  type LockDriver,
  type Outcome,
  systemClock,
} from "@dlock/core";
import { acquireOne, extendOne, refuseAll, releaseOne, type Transaction } from "./claims.js";
import type { SqliteDatabase } from "./database.js";
import { FileGone } from "./faults.js";
import { type HostClock, hostClock } from "./host-clock.js";
import { Leases } from "./leases.js";
import { type Attempt, AttemptQueue } from "./queue.js";
import { LeaseRecords } from "./records.js";
import type { Statements } from "./schema.js";
import { signal } from "./signal.js";
import { Store, type Synchronous } from "./store.js";
import { signalFile, Waiters } from "./waiters.js";

export interface SqliteDriverOptions {
  /**
   * Whether tokens survive a power loss. `"full"`: every token is on the disk before it is given. `"normal"`: several times as fast, and a
   * power loss (not a crash of the process) may take back the last tokens, which are then given again.
   * @default "full"
   */
  readonly synchronous?: Synchronous;
}

/** What only tests replace. */
export interface Internals {
  readonly clock?: Clock;
  readonly hostClock?: HostClock;
}

/**
 * Locks in one SQLite file, shared by every process of this machine that opens it.
 *
 * @param file the path of the database file, made when it does not exist (its folder must), or `{ database }`: an open better-sqlite3
 * `Database` in WAL mode, which the driver uses between the caller's own transactions, with its pragmas put back, and leaves open when
 * it is closed.
 * @throws TypeError for an in-memory database, which nobody could share, and for what is neither path nor database.
 * @throws RangeError for an option out of range.
 */
export function sqliteDriver(file: string | { readonly database: SqliteDatabase }, options: SqliteDriverOptions = {}): LockDriver {
  return makeDriver(file, options, {});
}

export function makeDriver(
  file: string | { readonly database: SqliteDatabase },
  options: SqliteDriverOptions,
  internals: Internals,
): LockDriver {
  checkOptions(options);
  const { synchronous = "full" } = options;
  const where = checkFile(file);
  const clock = internals.clock ?? systemClock;
  const leases = new Leases(internals.hostClock ?? hostClock);
  const store = new Store(where, synchronous);
  const waiters = new Waiters(store, leases, clock);
  const records = new LeaseRecords(store, leases, clock);
  const writes = new AttemptQueue(clock);

  const begin = (sql: Statements): Transaction => ({ sql, leases, now: leases.clock.now() });

  /** One transaction for a batch; a fault is every claim's outcome. `gone` is the verdict when the file is not there any more. */
  async function batch<C, T>(claims: readonly C[], attempt: Attempt<Outcome<T>[]>, gone?: T): Promise<readonly Outcome<T>[]> {
    if (claims.length === 0) return [];
    try {
      return await writes.run(attempt);
    } catch (error) {
      if (error instanceof FileGone && gone !== undefined) return claims.map(() => gone);
      const fault = asDriverError(error);
      return claims.map(() => fault);
    }
  }

  /** Each claim's decision in one write transaction; where writers crowd, hopeless claims do not queue up among them. */
  function decide(claims: readonly AcquireClaim[]): Outcome<AcquireResult>[] {
    const refused = writes.crowded ? itsOwn(() => store.read((sql) => refuseAll(begin(sql), claims))) : undefined;
    const write = (sql: Statements) => {
      const tx = begin(sql);
      const mint = mintFor(sql, claims.length);
      return claims.map((claim) => itsOwn(() => acquireOne(tx, claim, mint)));
    };
    // A row that is none of ours may be the affair of one of these claims only.
    const decisions = refused === undefined || isDriverError(refused) ? store.transact("durable", write) : refused;
    return decisions.map((decision, index) => {
      if (isDriverError(decision)) return decision;
      const { result, refusedBy } = decision;
      if (refusedBy !== undefined) waiters.refused((claims[index] as AcquireClaim).key, refusedBy);
      return result;
    });
  }

  function each<C, T>(claims: readonly C[], one: (tx: Transaction, claim: C) => T): () => Outcome<T>[] {
    return () =>
      store.transact("volatile", (sql) => {
        const tx = begin(sql);
        return claims.map((claim) => itsOwn(() => one(tx, claim)));
      });
  }

  return {
    name: "sqlite",
    capabilities: { scope: "host", minTtlMs: 1, ttlStepMs: 1, maxBatch: 500, wakeMs: 1, watch: true, queue: false },

    acquire: (claims, { timeoutMs }) => batch(claims, { run: () => decide(claims), timeoutMs, yields: true }),

    // A lease in a file that is gone excludes nobody any more: that is a loss, not a fault that might pass.
    extend: (claims, { timeoutMs }) => batch(claims, { run: each(claims, extendOne), timeoutMs, yields: false }, false),

    async release(claims, { timeoutMs }) {
      const outcomes = await batch(claims, { run: each(claims, releaseOne), timeoutMs, yields: false }, false);
      const ended = claims.filter((_, index) => outcomes[index] === true).map((claim) => claim.key);
      if (ended.length > 0) {
        signal(signalFile(store));
        waiters.released(ended);
      }
      return outcomes;
    },

    inspect: (key, call) => records.inspect(key, call.timeoutMs).catch(rethrow),
    list: ({ prefix = "" }) => records.list(prefix),
    async watch(claim, wake) {
      store.assertOpen();
      return waiters.add(claim, wake);
    },
    sweep: (call) => records.sweep(call.timeoutMs, writes).catch(rethrow),
    ping: (call) => writes.run({ run: () => store.probe(), timeoutMs: call.timeoutMs, yields: false }).catch(rethrow),

    async close() {
      waiters.stop();
      store.close();
      writes.close();
      records.close();
    },
  };
}

/** A row that is none of ours is the affair of its own claim, for which nothing was written. */
function itsOwn<T>(decide: () => T): Outcome<T> {
  try {
    return decide();
  } catch (error) {
    if (isDriverError(error)) return error;
    throw error;
  }
}

/** Hands out the tokens of one batch; the counter is written once, at the first grant. Tokens that are left over are never used. */
function mintFor(sql: Statements, count: number): () => bigint {
  let next: bigint | undefined;
  return () => {
    next = next === undefined ? sql.mint(count) - BigInt(count) + 1n : next + 1n;
    return next;
  };
}

function checkOptions(options: SqliteDriverOptions): void {
  if (typeof options !== "object" || options === null) throw new TypeError("the options of sqliteDriver must be an object");
  checkSection("sqliteDriver", { ...options }, { synchronous: "string" });
  const { synchronous = "full" } = options;
  if (synchronous !== "full" && synchronous !== "normal")
    throw new RangeError(`synchronous must be "full" or "normal", not ${JSON.stringify(synchronous)}`);
}

function checkFile(file: string | { readonly database: SqliteDatabase }): string | SqliteDatabase {
  if (typeof file !== "string") {
    const database = (file as Partial<typeof file> | undefined)?.database;
    if (typeof database?.prepare !== "function") {
      throw new TypeError("file must be the path of a database file, or { database } with an open better-sqlite3 Database");
    }
    if (database.memory) throw new TypeError("database is in memory, where no other process sees it: give a file, or use @dlock/memory");
    return database;
  }
  // better-sqlite3 takes a blank name for a temporary database.
  if (file.trim() === "" || file.trim() === ":memory:") {
    throw new TypeError(`file must be the path of a database file, not ${JSON.stringify(file)}; for one process use @dlock/memory`);
  }
  if (file.startsWith("sqlite:")) {
    throw new TypeError(`file must be a path, not the URL ${JSON.stringify(file)}: createLockProviderFromUrl takes URLs`);
  }
  return file;
}

function asDriverError(error: unknown): DriverError {
  if (isDriverError(error)) return error;
  if (error instanceof FileGone) return error.toDriverError();
  throw error;
}

function rethrow(error: unknown): never {
  throw asDriverError(error);
}
