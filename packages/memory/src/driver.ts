/** The driver: answers batches from a store in the same tick, so that a claim costs a map look-up and a promise. */
import type { Clock, DriverCapabilities, LockDriver, LockRecord } from "@dlock/core";
import { checkStoreOptions, createMemoryStore, type MemoryStore } from "./store.js";

export interface MemoryDriverOptions {
  /** What the driver works on: drivers that share a store exclude each other. Default: a store of its own. */
  store?: MemoryStore;
  /** The clock of the driver's own store; not together with `store`, which has one. Default: `systemClock` of @dlock/core. */
  clock?: Clock;
}

const capabilities: DriverCapabilities = { scope: "process", minTtlMs: 1, ttlStepMs: 1, maxBatch: 1_024, watch: true, queue: true };

/**
 * Locks inside one process, in all modes, with a first come first served queue.
 *
 * @throws TypeError when both `store` and `clock` are given, or one of them is none.
 */
export function memoryDriver(options: MemoryDriverOptions = {}): LockDriver {
  checkStoreOptions("options of memoryDriver", options);
  if (options.store !== undefined && typeof options.store?.acquire !== "function")
    throw new TypeError("store must be what createMemoryStore() makes");
  if (options.store !== undefined && options.clock !== undefined) {
    throw new TypeError("clock: give it to createMemoryStore(); drivers that share a store share its clock");
  }
  const store = options.store ?? createMemoryStore(options);
  const { clock } = store;
  /** How to end the watches this driver began: others may go on using the store. */
  const stops = new Set<() => void>();

  return {
    name: "memory",
    capabilities,
    acquire(claims) {
      const now = clock.now();
      return Promise.resolve(claims.map((claim) => store.acquire(claim, now)));
    },
    extend(claims) {
      const now = clock.now();
      return Promise.resolve(claims.map((claim) => store.extend(claim, now)));
    },
    release(claims) {
      const now = clock.now();
      return Promise.resolve(claims.map((claim) => store.release(claim, now)));
    },
    immediate: {
      acquire: (claim) => store.acquire(claim, clock.now()),
      extend: (claim) => store.extend(claim, clock.now()),
      release: (claim) => store.release(claim, clock.now()),
    },
    inspect(key) {
      return Promise.resolve(store.inspect(key, clock.now()));
    },
    async *list({ prefix = "" }): AsyncGenerator<LockRecord> {
      for (const key of store.keys()) {
        if (!key.startsWith(prefix)) continue;
        for (const holder of store.inspect(key, clock.now())) yield { key, ...holder };
      }
    },
    watch({ key }, wake) {
      const end = store.watches.add(key, wake);
      const stop = () => {
        stops.delete(stop);
        end();
      };
      stops.add(stop);
      return Promise.resolve(stop);
    },
    sweep() {
      return Promise.resolve(store.sweep(clock.now()));
    },
    ping() {
      return Promise.resolve();
    },
    close() {
      for (const stop of stops) stop();
      return Promise.resolve();
    },
  };
}
