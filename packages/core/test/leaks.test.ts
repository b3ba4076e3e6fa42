/** What is dropped is found, and what is over leaves nothing behind: handles, timers, listeners, memory. */
import { getEventListeners } from "node:events";
import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { fixedInterval, type Lock, type LockProvider } from "../src/index.ts";
import { record, scenario, watchPromise } from "./support/scenario.ts";
import { lost, silent } from "./support/scripted-driver.ts";
import type { VirtualClock } from "./support/virtual-clock.ts";

async function collectGarbage(): Promise<void> {
  const { gc } = globalThis;
  if (gc === undefined) throw new Error("these tests need --expose-gc (see vitest.config.ts)");
  // A WeakRef that was read keeps its target until the end of the turn.
  for (let round = 0; round < 3; round++) {
    await turn();
    gc();
  }
}

/** Takes a lock in a frame of its own, so that nothing of the test holds it; `use` returns what somebody keeps. */
async function takeAndDrop<T>(clock: VirtualClock, locks: LockProvider, use: (lock: Lock) => T): Promise<T> {
  return use(await clock.until(locks.lock("a")));
}

describe("a handle that was dropped without unlock", () => {
  test("is no longer renewed, is told as lost with reason leaked, and its lease ends by its TTL", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 3_000 });
    const lostEvents = record(locks, "lost");
    await takeAndDrop(clock, locks, () => undefined);
    await clock.advance(1_100);
    await collectGarbage();
    // It is looked for at each third renewal.
    await clock.advance(3_000);
    expect(lostEvents).toMatchObject([{ key: "a", reason: "leaked" }]);
    expect(driver.table.size).toBe(1); // Its work may still be going on: only the TTL frees the key.
    expect(driver.of("release")).toHaveLength(0);
    await clock.advance(3_000);
    expect(driver.table.size).toBe(0);
    expect(locks.stats()).toMatchObject({ active: 0, lost: 1 });
    expect(clock.pending).toBe(0);
  });

  test("is not one that somebody still has", async () => {
    const { clock, locks } = scenario({ ttlMs: 3_000 });
    const kept = await takeAndDrop(clock, locks, (lock) => lock);
    for (let round = 0; round < 5; round++) {
      await clock.advance(1_100);
      await collectGarbage();
    }
    expect(kept.isHeld).toBe(true);
  });

  test("is not one whose signal somebody still has", async () => {
    const { clock, locks } = scenario({ ttlMs: 3_000 });
    const lostEvents = record(locks, "lost");
    const signal = await takeAndDrop(clock, locks, (lock) => lock.signal);
    for (let round = 0; round < 5; round++) {
      await clock.advance(1_100);
      await collectGarbage();
    }
    expect(lostEvents).toHaveLength(0);
    expect(signal.aborted).toBe(false);
  });

  test("is not one whose signal has a listener only: that one is told of a loss", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 3_000 });
    let told = 0;
    await takeAndDrop(clock, locks, (lock) => lock.signal.addEventListener("abort", () => told++));
    for (let round = 0; round < 3; round++) {
      await clock.advance(1_100);
      await collectGarbage();
    }
    expect(told).toBe(0);
    driver.always("extend", silent);
    await clock.advance(3_000);
    expect(told).toBe(1);
  });

  test("is not one whose signal was taken late, when it was already looked at weakly", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 3_000 });
    let told = 0;
    let lock: Lock | undefined = await clock.until(locks.lock("a"));
    await clock.advance(1_100);
    lock.signal.addEventListener("abort", () => told++);
    lock = undefined;
    await collectGarbage();
    await clock.advance(1_100);
    driver.always("extend", silent);
    await clock.advance(3_000);
    expect(told).toBe(1);
  });

  test("is not one whose autoRefresh somebody awaits: that one is told of a loss", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 3_000 });
    const ended = await takeAndDrop(clock, locks, (lock) => watchPromise(lock.autoRefresh()));
    for (let round = 0; round < 3; round++) {
      await clock.advance(1_100);
      await collectGarbage();
    }
    expect(ended.state).toBe("pending");
    driver.always("extend", silent);
    await clock.advance(3_000);
    expect(ended.error).toMatchObject({ code: "DLOCK_LOST", reason: "expired" });
  });

  test("is not one with an owner that the user gave: the name is enough to free it", async () => {
    const { clock, locks } = scenario({ ttlMs: 3_000 });
    await (async () => void (await clock.until(locks.lock("a", { owner: "me" }))))();
    for (let round = 0; round < 4; round++) {
      await clock.advance(1_100);
      await collectGarbage();
    }
    expect(await clock.until(locks.unlock("a", "me"))).toBe(true);
  });
});

describe("10,000 cycles", () => {
  test.each([
    ["of one key after another", { keys: 10_000, together: 1 }],
    ["of many at once", { keys: 10_000, together: 500 }],
    ["of few keys with many waiters", { keys: 5, together: 500 }],
  ])("%s leave no timer and nothing held", async (_what, { keys, together }) => {
    const { clock, driver, locks } = scenario({ waitMs: 600_000 }, { watch: true });
    const controller = new AbortController();
    let next = 0;
    const loop = async () => {
      while (next < 10_000) {
        const turnOf = next++;
        const lock = await locks.lock(`key ${turnOf % keys}`, { signal: controller.signal });
        await lock.unlock();
      }
    };
    await clock.until(Promise.all(Array.from({ length: together }, loop)));
    expect(getEventListeners(controller.signal, "abort")).toHaveLength(0);
    expect(locks.stats()).toMatchObject({ active: 0, waiting: 0, total: 10_000, unlockCount: 10_000 });
    await clock.advance(1_000);
    expect(clock.pending).toBe(0);
    expect(driver.table.size).toBe(0);
    expect(driver.table.watched).toBe(0);
  });

  test("of refusals, time-outs, aborts, losses and lost replies leave neither", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 1_000, attemptTimeoutMs: 50, retry: fixedInterval(20) }, { watch: true });
    driver.table.occupy("busy", 10_000_000);
    const lasting = new AbortController();
    let sent = 0;
    driver.always("acquire", (serve, virtual) => (sent++ % 7 === 0 ? lost(serve, virtual) : serve()));
    for (let round = 0; round < 1_000; round++) {
      const controller = new AbortController();
      const work = [
        locks.tryLock("busy"),
        locks.lock("busy", { waitMs: 30, signal: lasting.signal }),
        locks.lock("busy", { waitMs: 10_000, signal: controller.signal }),
        locks.lock(`free ${round}`, { waitMs: 500, signal: lasting.signal }).then((lock) => lock.unlock()),
        locks.lock(`kept ${round}`, { waitMs: 500, autoRenew: false }),
        locks.withLock(`body ${round}`, { mode: "shared", limit: 2 }, () => Promise.reject(new Error("mine"))),
        locks.lock(`mine ${round}`, { owner: "me", waitMs: 500 }).then((lock) => lock.unlock()),
      ];
      const settled = Promise.allSettled(work);
      await clock.advance(35);
      controller.abort("enough");
      if (round % 50 === 49) await clock.until(settled);
    }
    await clock.advance(120_000);
    expect(getEventListeners(lasting.signal, "abort")).toHaveLength(0);
    expect(locks.stats()).toMatchObject({ active: 0, waiting: 0 });
    expect(clock.pending).toBe(0);
    expect(driver.table.keys()).toEqual(["busy"]);
    expect(driver.table.watched).toBe(0);
  });

  test("leave no map entry: what they used is collected", async () => {
    const { clock, locks, driver } = scenario();
    const cycle = async (from: number) => {
      for (let index = 0; index < 10_000; index++) await (await locks.lock(`key ${from + index}`)).unlock();
      driver.calls.length = 0;
      driver.table.forget();
    };
    await clock.until(cycle(0));
    await collectGarbage();
    const before = process.memoryUsage().heapUsed;
    await clock.until(cycle(10_000));
    await clock.until(cycle(20_000));
    await collectGarbage();
    // An entry for each of 20,000 keys would be well over a megabyte.
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(600_000);
  });
});
