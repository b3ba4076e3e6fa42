/** What a case works with: two clients, unique keys and owners, and waiting by the setup's clock. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { type Clock, systemClock } from "../clock.js";
import type { DriverCapabilities, LockDriver } from "../driver.js";
import { Client } from "./client.js";
import type { ConformanceSetup } from "./types.js";

/** No case waits for leases with this TTL to end. */
export const longMs = 60_000;

/** How much later than asked a server may end a lease before a case gives up on it. */
const lateMs = 5_000;

/** Keys are never used twice, also when the store outlives a run of the suite. */
const run = randomBytes(4).toString("hex");
let contexts = 0;

export class Context {
  readonly capabilities: DriverCapabilities;
  /** Two clients of the same store, shared with the other cases. */
  readonly first: Client;
  readonly second: Client;
  /** The TTL to give to a lease that the case waits to end. */
  readonly ttlMs: number;
  /** As `ttlMs`, and long enough to do something before it ends, also on a busy machine. */
  readonly roomyTtlMs: number;
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly countRecords: (() => number | Promise<number>) | undefined;
  readonly #setup: ConformanceSetup;
  readonly #opened: LockDriver[] = [];
  readonly #prefix: string;
  #names = 0;

  constructor(setup: ConformanceSetup, first: LockDriver, second: LockDriver) {
    contexts += 1;
    this.#prefix = `${run}.${contexts}`;
    this.#setup = setup;
    this.capabilities = first.capabilities;
    this.timeoutMs = setup.timeoutMs ?? 5_000;
    this.clock = setup.clock ?? systemClock;
    this.countRecords = setup.countRecords?.bind(setup);
    this.ttlMs = this.given(setup.ttlMs ?? 300);
    this.roomyTtlMs = Math.max(this.ttlMs, this.given(1_000));
    this.first = new Client(first, this);
    this.second = new Client(second, this);
  }

  /** A further client, closed after the case at the latest. */
  async open(): Promise<Client> {
    const driver = await this.#setup.create();
    this.#opened.push(driver);
    return new Client(driver, this);
  }

  /** Frees what the case still holds and closes what it opened. */
  async end(): Promise<void> {
    await this.first.releaseAll();
    await this.second.releaseAll();
    for (const driver of this.#opened) await driver.close();
  }

  /** A key that nobody else uses: `prefix`, a number, `suffix`. */
  key(suffix = ""): string {
    this.#names += 1;
    return `${this.prefix}${this.#names}${suffix}`;
  }

  /** What all keys of this case start with, and no others. */
  get prefix(): string {
    return `${this.#prefix}.`;
  }

  /** Distinct keys that may share a batch. */
  keys(count: number): string[] {
    const { laneOf } = this.first.driver;
    const keys = [this.key()];
    while (keys.length < count) {
      const key = this.key();
      if (laneOf === undefined || laneOf.call(this.first.driver, key) === laneOf.call(this.first.driver, keys[0] as string)) keys.push(key);
    }
    return keys;
  }

  owner(): string {
    this.#names += 1;
    return `owner-${this.#prefix}.${this.#names}`;
  }

  /** The TTL the backend gives when asked for `ttlMs`. */
  given(ttlMs: number): number {
    const { minTtlMs, ttlStepMs } = this.capabilities;
    return Math.ceil(Math.max(ttlMs, minTtlMs) / ttlStepMs) * ttlStepMs;
  }

  /** How much of a TTL two clocks may disagree about: what core's local deadline leaves (1 %, at least 2 ms). */
  driftMs(ttlMs: number): number {
    return Math.max(ttlMs / 100, 2);
  }

  /** Lets time pass. Only for cases that need a later moment; what can be awaited is awaited with `eventually`. */
  elapse(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.clock.setTimer(resolve, ms, true);
    });
  }

  /** Polls until `check` is true; fails with `what` when it still is not after `ttlMs` and the lateness a server is allowed. */
  async eventually(what: string, check: () => boolean | Promise<boolean>, ttlMs = 0): Promise<void> {
    const deadline = this.clock.now() + ttlMs + lateMs;
    while (!(await check())) {
      assert.ok(this.clock.now() < deadline, `still waiting after ${Math.round(ttlMs + lateMs)} ms: ${what}`);
      await this.elapse(10);
    }
  }

  /** Waits until the key's leases have ended by themselves. */
  async ended(key: string): Promise<void> {
    const holders = await this.second.inspect(key);
    const longest = Math.max(0, ...holders.map((holder) => holder.remainingMs));
    assert.ok(longest < longMs / 2, `the lease of ${key} ends in ${longest} ms, which no case waits for`);
    await this.eventually(`the end of the lease of ${key}`, async () => (await this.second.inspect(key)).length === 0, longest);
  }

  /** Fails when a driver's call outlives its time. */
  async within<T>(what: string, call: Promise<T>): Promise<T> {
    let timer: { cancel(): void } | undefined;
    const late = new Promise<never>((_, reject) => {
      // A second more: the time a busy machine may need to notice.
      const ms = this.timeoutMs + 1_000;
      timer = this.clock.setTimer(() => reject(new assert.AssertionError({ message: `${what} did not settle within ${ms} ms` })), ms, true);
    });
    try {
      return await Promise.race([call, late]);
    } finally {
      timer?.cancel();
    }
  }
}
