/** Locks inside one process: what the engine costs, against the usual mutex of Node. */
import { createLockProvider } from "@dlock/core";
import { memoryDriver } from "@dlock/memory";
import AsyncLock from "async-lock";
import { Mutex } from "async-mutex";
import { type Contest, throughput, together } from "../contest.js";

export function* memoryContests(scale: number): Iterable<Contest> {
  const cycles = 100_000 * scale;
  for (const concurrency of [1, 64]) {
    yield {
      title: `memory, distinct keys, ${concurrency} at once`,
      unit: "cycles/s",
      better: "more",
      contestants: () => [
        {
          name: "async-mutex runExclusive",
          round: () => throughput(cycles, () => together(concurrency, cycles, () => new Mutex().runExclusive(nothing))),
        },
        dlock(cycles, concurrency, (unit) => `key ${unit}`),
        asyncLock(cycles, concurrency, (unit) => `key ${unit}`),
      ],
      ...(concurrency === 1 ? { targets: [{ name: "dlock lock + unlock", atLeast: 1.5 }] } : {}),
    };
  }
  const mutex = new Mutex();
  yield {
    title: "memory, 64 waiters on one key",
    unit: "sections/s",
    better: "more",
    contestants: () => [
      {
        name: "async-mutex runExclusive",
        round: () => throughput(cycles, () => together(64, cycles, () => mutex.runExclusive(nothing))),
      },
      dlock(cycles, 64, () => "key"),
      asyncLock(cycles, 64, () => "key"),
    ],
    targets: [{ name: "dlock lock + unlock", atLeast: 3 }],
  };
  const locks = createLockProvider(memoryDriver(), { sweepIntervalMs: 0 });
  yield {
    title: "memory, withLock (the context) against lock + unlock",
    unit: "cycles/s",
    better: "more",
    contestants: () => [
      {
        name: "dlock lock + unlock",
        round: () =>
          throughput(cycles, () =>
            together(1, cycles, async (unit) => {
              const lock = await locks.lock(`key ${unit}`);
              await lock.unlock();
            }),
          ),
      },
      {
        name: "dlock withLock",
        round: () => throughput(cycles, () => together(1, cycles, (unit) => locks.withLock(`key ${unit}`, nothing))),
        close: () => locks.close(),
      },
    ],
  };
}

function dlock(cycles: number, concurrency: number, keyOf: (unit: number) => string) {
  const locks = createLockProvider(memoryDriver(), { sweepIntervalMs: 0 });
  return {
    name: "dlock lock + unlock",
    round: () =>
      throughput(cycles, () =>
        together(concurrency, cycles, async (unit) => {
          const lock = await locks.lock(keyOf(unit));
          await lock.unlock();
        }),
      ),
    close: () => locks.close(),
  };
}

function asyncLock(cycles: number, concurrency: number, keyOf: (unit: number) => string) {
  // By default it refuses more than 1,000 waiters.
  const locks = new AsyncLock({ maxPending: Number.POSITIVE_INFINITY });
  return {
    name: "async-lock",
    settings: "maxPending Infinity",
    round: () => throughput(cycles, () => together(concurrency, cycles, (unit) => locks.acquire(keyOf(unit), nothing))),
  };
}

async function nothing(): Promise<void> {}
