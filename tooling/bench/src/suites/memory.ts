/** Locks inside one process: what the engine costs, against the usual mutex of Node. */
import { createLockProvider, type LockProvider } from "@dlock/core";
import { memoryDriver } from "@dlock/memory";
import AsyncLock from "async-lock";
import { Mutex } from "async-mutex";
import type { Contest, Contestant, Size } from "../contest.js";
import { nothing } from "../locker.js";
import { rounds } from "../work.js";

type KeyOf = (unit: number) => string;

const lockAndUnlock = "dlock lock + unlock";

export function* memoryContests({ forMs }: Size): Iterable<Contest> {
  const one = new Mutex();
  const distinct: KeyOf = (unit) => `key ${unit}`;
  const contestant = (name: string, tasks: number, run: (unit: number) => Promise<unknown>): Contestant => ({
    name,
    ...rounds({ tasks, forMs, timeEvery: 32 }, run),
  });
  const dlock = (tasks: number, keyOf: KeyOf): Contestant => {
    const locks = open();
    return { ...contestant(lockAndUnlock, tasks, (unit) => cycle(locks, keyOf(unit))), close: () => locks.close() };
  };
  const asyncLock = (tasks: number, keyOf: KeyOf): Contestant => {
    // By default it refuses more than 1,000 waiters.
    const locks = new AsyncLock({ maxPending: Number.POSITIVE_INFINITY });
    return { ...contestant("async-lock", tasks, (unit) => locks.acquire(keyOf(unit), nothing)), settings: "maxPending Infinity" };
  };
  const mapped = (tasks: number): Contestant => {
    const mutexes = new Map<string, Mutex>();
    return {
      ...contestant("async-mutex in a map", tasks, (unit) => underKey(mutexes, distinct(unit))),
      settings: "a mutex for a key, found by its name and dropped when it is free: what it takes to lock by key",
    };
  };
  for (const tasks of [1, 64]) {
    yield {
      title: `memory, distinct keys, ${tasks} at once`,
      unit: "cycles/s",
      better: "more",
      at: tasks,
      contestants: () => [
        { ...contestant("async-mutex runExclusive", tasks, () => new Mutex().runExclusive(nothing)), settings: "a new mutex for each key" },
        dlock(tasks, distinct),
        mapped(tasks),
        asyncLock(tasks, distinct),
      ],
      targets: tasks === 1 ? [{ name: lockAndUnlock, atLeast: 1.5 }] : [],
    };
  }
  yield {
    title: "memory, 64 waiters on one key",
    unit: "sections/s",
    better: "more",
    contestants: () => [
      contestant("async-mutex runExclusive", 64, () => one.runExclusive(nothing)),
      dlock(64, () => "key"),
      asyncLock(64, () => "key"),
    ],
    targets: [{ name: lockAndUnlock, atLeast: 3 }],
  };
  yield {
    title: "memory, withLock and its context, 1 at once",
    unit: "cycles/s",
    better: "more",
    contestants: () => {
      const locks = open();
      return [
        contestant("dlock lock, try, finally unlock", 1, async (unit) => {
          const lock = await locks.lock(distinct(unit));
          try {
            await nothing();
          } finally {
            await lock.unlock();
          }
        }),
        { ...contestant("dlock withLock", 1, (unit) => locks.withLock(distinct(unit), nothing)), close: () => locks.close() },
      ];
    },
    targets: [{ name: "dlock withLock", atLeast: 0.9 }],
  };
}

async function underKey(mutexes: Map<string, Mutex>, key: string): Promise<void> {
  const mutex = mutexes.get(key) ?? new Mutex();
  mutexes.set(key, mutex);
  await mutex.runExclusive(nothing);
  if (!mutex.isLocked()) mutexes.delete(key);
}

function open(): LockProvider {
  return createLockProvider(memoryDriver(), { sweepIntervalMs: 0 });
}

async function cycle(locks: LockProvider, key: string): Promise<void> {
  const lock = await locks.lock(key);
  await lock.unlock();
}
