/** What users do to locks and what befalls these, one kind of operation each. Whatever a kind takes, it has given back or lost when it settles. */
import { setTimeout as sleep } from "node:timers/promises";
import { LockError, type LockProvider } from "@dlock/core";

/** What an operation finds. */
export interface Ground {
  readonly locks: LockProvider;
  /** Another provider over the same backend. */
  readonly other: LockProvider;
  /** A further one, for whoever closes it again. */
  open(): Promise<LockProvider>;
  /** Never aborts; the waits of the whole run share it. */
  readonly signal: AbortSignal;
  /** A key that somebody holds all the time. */
  readonly busy: string;
  /** One of a few keys that many want. */
  hot(): string;
  /** A key that is used this once. */
  fresh(): string;
}

interface Kind {
  /** How often it is chosen, beside the others. */
  readonly weight: number;
  run(ground: Ground): Promise<unknown>;
}

/** What some kinds end with on purpose. */
class Expected extends Error {}

function expected(error: unknown): void {
  if (!(error instanceof Expected || (error instanceof LockError && error.code === "DLOCK_TIMEOUT"))) throw error;
}

export const kinds = {
  "one key once": { weight: 300, run: async ({ locks, fresh }) => (await locks.lock(fresh(), { metadata: "soak" })).unlock() },
  "one attempt": { weight: 200, run: async ({ locks, hot }) => (await locks.tryLock(hot()))?.unlock() },
  body: { weight: 150, run: ({ locks, hot }) => locks.withLock(hot(), () => sleep(1)) },
  "body that fails": {
    weight: 20,
    run: ({ locks, hot }) => locks.withLock(hot(), () => Promise.reject(new Expected())).catch(expected),
  },
  "hand-off": {
    weight: 20,
    run: async ({ locks, fresh }) => {
      const key = fresh();
      await Promise.all(Array.from({ length: 5 }, async () => (await locks.lock(key)).unlock()));
    },
  },
  readers: { weight: 50, run: ({ locks, hot }) => locks.withLock(`${hot()} read`, { mode: "shared" }, () => sleep(2)) },
  writer: { weight: 5, run: ({ locks, hot }) => locks.withLock(`${hot()} read`, () => sleep(1)) },
  semaphore: { weight: 50, run: ({ locks, hot }) => locks.withLock(`${hot()} three`, { mode: "shared", limit: 3 }, () => sleep(2)) },
  abort: {
    weight: 50,
    run: async ({ locks, busy }) => {
      const controller = new AbortController();
      const abort = sleep(2).then(() => controller.abort(new Expected()));
      await Promise.all([locks.lock(busy, { signal: controller.signal }).catch(expected), abort]);
    },
  },
  "time-out": { weight: 50, run: ({ locks, busy, signal }) => locks.lock(busy, { waitMs: 10, signal }).catch(expected) },
  "several keys": { weight: 20, run: async ({ locks, fresh, hot }) => (await locks.lockAll([fresh(), hot(), hot()])).unlock() },
  "an owner of one's own": {
    weight: 20,
    run: async ({ locks, other, fresh }) => {
      const key = fresh();
      const lock = await locks.lock(key, { owner: "soak" });
      await locks.renew(key, "soak", 5_000);
      await other.unlock(key, "soak");
      await lock.unlock();
    },
  },
  "take part": {
    weight: 20,
    run: ({ locks, hot }) => {
      const key = hot();
      return locks.withLock(key, () => locks.withLock(key, { reentrant: true }, () => sleep(1)));
    },
  },
  singleflight: { weight: 20, run: ({ locks, hot }) => locks.singleflight(`${hot()} flight`, () => sleep(1), { lock: true }) },
  renewal: {
    weight: 3,
    run: async ({ locks, fresh }) => {
      const lock = await locks.lock(fresh(), { ttlMs: 1_000 });
      lock.signal.addEventListener("abort", () => {});
      await lock.refresh();
      const ended = lock.autoRefresh({ intervalMs: 200 });
      await sleep(500);
      await lock.unlock();
      await ended;
    },
  },
  loss: {
    weight: 3,
    run: async ({ locks, fresh }) => {
      const lock = await locks.lock(fresh(), { ttlMs: 500, autoRenew: false });
      await new Promise((resolve) => lock.signal.addEventListener("abort", resolve, { once: true }));
      await lock.unlock();
    },
  },
  "dropped handle": { weight: 3, run: async ({ locks, fresh }) => void (await locks.lock(fresh(), { ttlMs: 500 })) },
  look: {
    weight: 3,
    run: async ({ locks, hot }) => {
      const key = hot();
      await locks.inspect(key);
      for await (const _ of locks.list({ prefix: key })) break;
      await locks.ping();
    },
  },
  sweep: { weight: 1, run: ({ locks }) => locks.sweep() },
  "a provider of one's own": {
    weight: 1,
    run: async ({ open, hot }) => {
      const passing = await open();
      await (await passing.tryLock(hot()))?.unlock();
      await passing.close();
    },
  },
} satisfies Readonly<Record<string, Kind>> as Readonly<Record<string, Kind>>;
