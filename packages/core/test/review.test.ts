/** Callers, listeners and drivers that do the unexpected at the worst moment: nothing is held twice, hangs, leaks or is told wrong. */
import { memoryDriver } from "@dlock/memory";
import { describe, expect, test } from "vitest";
import { createLockProvider, type LockProvider, LockTimeoutError, ProviderClosedError } from "../src/index.ts";
import { errorOf, scenario, watchPromise } from "./support/scenario.ts";
import { VirtualClock } from "./support/virtual-clock.ts";

/** Providers whose driver answers each claim at once, over one store. */
function immediate(): { clock: VirtualClock; locks: LockProvider } {
  const clock = new VirtualClock();
  return { clock, locks: createLockProvider(memoryDriver({ clock }), { clock, sweepIntervalMs: 0 }) };
}

const collectGarbage = globalThis.gc as () => void;

describe("a listener that calls back", () => {
  test("unlocks again from `released`: each holder is counted once, and the next one keeps the lease", async () => {
    const { clock, driver, locks } = scenario();
    const first = await clock.until(locks.lock("a"));
    const waiting = locks.lock("a");
    await clock.settle();
    const again: Promise<boolean>[] = [];
    locks.on("released", () => again.push(first.unlock()));
    expect(await clock.until(first.unlock())).toBe(true);
    const second = await clock.until(waiting);
    expect(second.isHeld).toBe(true);
    expect(driver.table.size).toBe(1);
    expect(await Promise.all(again)).toEqual([true]);
    expect(locks.stats()).toMatchObject({ active: 1, unlockCount: 1 });
  });

  test("asks as the same owner from `released`: it is not given the hold that is just ending", async () => {
    const { clock, driver, locks } = scenario();
    const first = await clock.until(locks.lock("a", { owner: "me" }));
    const asked: ReturnType<typeof locks.lock>[] = [];
    const off = locks.on("released", () => {
      off();
      asked.push(locks.lock("a", { owner: "me" }));
    });
    await clock.until(first.unlock());
    const second = await clock.until(asked[0] as (typeof asked)[0]);
    expect(second.isHeld).toBe(true);
    expect(driver.table.holders("a")).toHaveLength(1);
  });

  test("unlocks from `renewed`: nothing of the lock stays on the schedule", async () => {
    const { clock, locks } = scenario({ ttlMs: 24_000 });
    const lock = await clock.until(locks.lock("a"));
    locks.on("renewed", () => void lock.unlock());
    await clock.advance(8_000);
    await clock.advance(1_000);
    expect(lock.isHeld).toBe(false);
    expect(clock.pending).toBe(0);
  });

  test("sees a lost lock as not held when `acquired` tells of the next holder", async () => {
    const { clock, locks } = immediate();
    const lock = await clock.until(locks.lock("a", { maxHoldMs: 1_000, owner: "me" }));
    const seen: boolean[] = [];
    locks.on("acquired", () => seen.push(lock.isHeld));
    const waiting = watchPromise(locks.lock("a", { mode: "shared", owner: "me" }));
    await clock.advance(1_000);
    await clock.advance(1_000);
    expect(waiting.state).toBe("resolved");
    expect(seen).toEqual([false]);
    await clock.until(locks.close());
  });
});

describe("a driver", () => {
  test("whose watch resolves to nothing is borne, when the wait is over by then too", async () => {
    const { clock, driver, locks } = scenario({}, { watch: true });
    const letGo = driver.table.occupy("a");
    driver.watchReplies.push(async (stand) => {
      stand();
      await clock.sleep(500);
      return undefined as unknown as () => void;
    });
    const error = await errorOf(clock.until(locks.lock("a", { waitMs: 100 })));
    expect(error).toBeInstanceOf(LockTimeoutError);
    await clock.advance(1_000);
    letGo();
    expect(await clock.until(locks.tryLock("a"))).toBeDefined();
  });
});

describe("lockAll", () => {
  test("is rejected by close() while it waits", async () => {
    const { clock, driver, locks } = scenario({}, { watch: true });
    driver.table.occupy("b", 3_000);
    const waiting = watchPromise(locks.lockAll(["a", "b"]));
    await clock.settle();
    await clock.until(locks.close());
    await clock.settle();
    expect(waiting.error).toBeInstanceOf(ProviderClosedError);
    expect(driver.table.holders("a")).toEqual([]);
    expect(driver.table.watched).toBe(0);
    expect(clock.pending).toBe(0);
  });

  test("tells the signal of a dropped handle of a loss", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 3_000 });
    const { signal } = await clock.until(locks.lockAll(["a", "b"]));
    for (let second = 0; second < 5; second++) {
      await clock.advance(1_000);
      collectGarbage();
    }
    expect(signal.aborted).toBe(false);
    driver.table.drop("b");
    await clock.advance(1_000);
    expect(signal.reason).toMatchObject({ reason: "refused", key: "b" });
    await clock.until(locks.close());
  });
});

describe("autoRefresh()", () => {
  test("rejects when unlock() is the first to notice the loss", async () => {
    const { clock, locks } = scenario({ ttlMs: 3_000 });
    const lock = await clock.until(locks.lock("a"));
    const ended = watchPromise(lock.autoRefresh());
    await clock.settle();
    clock.jump(10_000);
    expect(await lock.unlock()).toBe(false);
    await clock.settle();
    expect(ended.error).toMatchObject({ reason: "expired" });
  });
});

describe("autoRenew()", () => {
  test("ends with close() and leaves no timer", async () => {
    const { clock, driver, locks } = scenario();
    driver.table.occupy("a", 60_000, "elsewhere");
    const renewing = watchPromise(locks.autoRenew("a", "elsewhere"));
    await clock.advance(100);
    await clock.until(locks.close());
    await clock.settle();
    expect(renewing.error).toBeInstanceOf(ProviderClosedError);
    expect(clock.pending).toBe(0);
  });
});

describe("singleflight()", () => {
  test("with a signal that has aborted already calls nothing", async () => {
    const { locks } = scenario();
    let calls = 0;
    const signal = AbortSignal.abort(new Error("too late"));
    expect(await errorOf(locks.singleflight("a", () => ++calls, { signal }))).toMatchObject({ message: "too late" });
    expect(calls).toBe(0);
  });
});
