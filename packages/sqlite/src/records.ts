/** Looking at the leases of the file, and removing those that have ended, a page at a time so that the event loop goes on. */
import type { Clock, Holder, LockRecord } from "@dlock/core";
import { FileGone } from "./faults.js";
import type { Leases } from "./leases.js";
import { AttemptQueue } from "./queue.js";
import type { LeaseRow, Place, Statements } from "./schema.js";
import type { Store } from "./store.js";

/** About a millisecond of work. */
const pageSize = 500;
/** A read waits only while another process recovers the log after a crash. */
const readTimeoutMs = 5_000;

export class LeaseRecords {
  readonly #store: Store;
  readonly #leases: Leases;
  readonly #clock: Clock;
  /** A line of its own: reads do not wait for writers. */
  readonly #reads: AttemptQueue;

  constructor(store: Store, leases: Leases, clock: Clock) {
    this.#store = store;
    this.#leases = leases;
    this.#clock = clock;
    this.#reads = new AttemptQueue(clock);
  }

  async inspect(key: string, timeoutMs: number): Promise<Holder[]> {
    const rows = await this.#reads.run({ run: () => this.#store.read((sql) => sql.leasesOf(key)), timeoutMs, yields: false });
    return this.#live(rows).map(({ key: _, ...holder }) => holder);
  }

  async *list(prefix: string): AsyncGenerator<LockRecord> {
    try {
      for await (const rows of this.#pages(prefix, this.#clock.now() + readTimeoutMs)) {
        // In byte order everything that starts with the prefix stands together, from the prefix on.
        const inside = rows.filter((row) => row.key.startsWith(prefix));
        yield* this.#live(inside);
        if (inside.length < rows.length) return;
      }
    } catch (error) {
      throw error instanceof FileGone ? error.toDriverError() : error;
    }
  }

  /** @param writes the line for the write lock. */
  async sweep(timeoutMs: number, writes: AttemptQueue): Promise<number> {
    const deadline = this.#clock.now() + timeoutMs;
    const standing = new Set<bigint>();
    let removed = 0;
    for await (const rows of this.#pages("", deadline)) {
      const now = this.#leases.clock.now();
      const ended = rows.filter((row) => this.#leases.remaining(row, now) <= 0n);
      for (const row of rows) standing.add(row.token);
      if (ended.length > 0) {
        const run = () => this.#store.transact("volatile", (sql) => ended.filter((row) => removeEnded(sql, row)).length);
        removed += await writes.run({ run, timeoutMs: deadline - this.#clock.now(), yields: true });
      }
      if (this.#clock.now() >= deadline) return removed;
    }
    this.#leases.keepSightings(standing);
    return removed;
  }

  close(): void {
    this.#reads.close();
  }

  /** Every lease from `prefix` on, in byte order. A page is read as it stands; leases that come or go between two pages may be missed. */
  async *#pages(prefix: string, deadline: number): AsyncGenerator<LeaseRow[]> {
    for (let from: Place | undefined = { key: prefix, owner: "" }; from !== undefined; ) {
      const place: Place = from;
      const run = () => this.#store.read((sql) => sql.page(place, pageSize));
      const { rows, next } = await this.#reads.run({ run, timeoutMs: deadline - this.#clock.now(), yields: true });
      yield rows;
      from = next;
    }
  }

  #live(rows: LeaseRow[]): LockRecord[] {
    const now = this.#leases.clock.now();
    return rows
      .map((row) => ({ row, left: this.#leases.remaining(row, now) }))
      .filter(({ left }) => left > 0n)
      .sort((a, b) => (a.row.token < b.row.token ? -1 : 1))
      .map(({ row, left }) => ({ key: row.key, ...this.#leases.describe(row, left, now) }));
  }
}

/** Removes the lease if it still is as it was when it was found to have ended. */
function removeEnded(sql: Statements, found: LeaseRow): boolean {
  const row = sql.lease(found.key, found.owner);
  if (row === undefined || row.token !== found.token || row.expires_at_us !== found.expires_at_us) return false;
  return sql.remove(row.key, row.owner) !== undefined;
}
