/** Callers, listeners and drivers that do the unexpected at the worst moment: nothing is held twice, hangs, leaks or is told wrong. */
import { describe, expect, test } from "vitest";
import {
  createLockProvider,
  driverError,
  fixedInterval,
  type ImmediateDecisions,
  type LockProvider,
  LockTimeoutError,
  ProviderClosedError,
} from "../src/index.ts";
import type { LockTable } from "./support/lock-table.ts";
import { errorOf, record, scenario, watchPromise } from "./support/scenario.ts";
import { failing, ScriptedDriver, silent, slow } from "./support/scripted-driver.ts";
import { VirtualClock } from "./support/virtual-clock.ts";

/** A provider whose driver decides at once. */
function immediate(): { clock: VirtualClock; table: LockTable; locks: LockProvider } {
  const clock = new VirtualClock();
  const driver = new ScriptedDriver(clock);
  const { table } = driver;
  const decisions: ImmediateDecisions = {
    acquire: (claim) => table.acquire(claim),
    extend: (claim) => table.extend(claim),
    release: (claim) => table.release(claim),
  };
  return { clock, table, locks: createLockProvider(Object.assign(driver, { immediate: decisions }), { clock, sweepIntervalMs: 0 }) };
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

  test.each([0, 1_000])("aborts the very wait that `contended` tells of (waitMs: %i)", async (waitMs) => {
    const { clock, driver, locks } = scenario({}, { watch: true });
    const letGo = driver.table.occupy("a");
    const aborter = new AbortController();
    locks.on("contended", () => aborter.abort(new Error("enough")));
    const error = await errorOf(clock.until(locks.lock("a", { waitMs, signal: aborter.signal })));
    expect(error).toMatchObject({ message: "enough" });
    letGo();
    await clock.advance(5_000);
    expect(locks.stats()).toMatchObject({ waiting: 0, active: 0, failed: 0 });
    expect(driver.table.size).toBe(0);
    expect(driver.table.watched).toBe(0);
    expect(clock.pending).toBe(0);
  });

  test("closes the provider from `contended`", async () => {
    const { clock, driver, locks } = scenario({}, { watch: true });
    driver.table.occupy("a");
    locks.on("contended", () => void locks.close());
    const errors = await clock.until(Promise.all([locks.lock("a"), locks.tryLock("a"), locks.lock("a")].map((work) => errorOf(work))));
    expect(errors.every((error) => error instanceof ProviderClosedError)).toBe(true);
    await clock.until(locks.close());
    expect(locks.stats().waiting).toBe(0);
    expect(driver.table.watched).toBe(0);
    expect(clock.pending).toBe(0);
  });

  test("aborts from `timeout` the others who were to be told of the same verdict", async () => {
    const { clock, driver, locks } = scenario();
    const letGo = driver.table.occupy("a", 60_000);
    const aborter = new AbortController();
    locks.on("timeout", () => aborter.abort());
    const head = watchPromise(locks.lock("a", { waitMs: 30_000 }));
    await clock.advance(20);
    const once = { retryCount: 0 };
    const all = [
      watchPromise(locks.lock("a", once)),
      watchPromise(locks.lock("a", { ...once, signal: aborter.signal })),
      watchPromise(locks.lock("a", once)),
    ];
    await clock.settle();
    expect(all.map(({ state }) => state)).toEqual(["rejected", "rejected", "rejected"]);
    expect(all[2]?.error).toBeInstanceOf(LockTimeoutError);
    expect(locks.stats().waiting).toBe(1);
    letGo();
    await clock.advance(5_000);
    expect(head.state).toBe("resolved");
  });

  test("unlocks from `acquired` while others of that owner are about to join: they ask for themselves", async () => {
    const { clock, driver, locks } = scenario();
    const me = { owner: "me" };
    const off = locks.on("acquired", () => {
      off();
      void locks.unlock("a", "me");
      void locks.unlock("a", "me");
    });
    const asked = [locks.lock("a", me), locks.lock("a", me), locks.lock("a", me)];
    const held = await clock.until(Promise.all(asked));
    expect(held.map((lock) => lock.isHeld)).toEqual([false, false, true]);
    expect(driver.table.size).toBe(1);
    expect(await clock.until((held[2] as (typeof held)[2]).unlock())).toBe(true);
    expect(driver.table.size).toBe(0);
    expect(locks.stats()).toMatchObject({ active: 0, waiting: 0 });
  });

  test("aborts from `acquired` a wait of that owner which is about to join", async () => {
    const { clock, driver, locks } = scenario();
    const aborter = new AbortController();
    locks.on("acquired", () => aborter.abort());
    const me = { owner: "me" };
    const asked = [locks.lock("a", me), locks.lock("a", me), locks.lock("a", { ...me, signal: aborter.signal })].map((work) =>
      watchPromise(work),
    );
    await clock.settle();
    expect(asked.map(({ state }) => state)).toEqual(["resolved", "resolved", "rejected"]);
    expect(locks.stats()).toMatchObject({ active: 2, waiting: 0 });
    for (const { value } of asked) if (value !== undefined) await clock.until(value.unlock());
    expect(driver.table.size).toBe(0);
  });

  test("unlocks from `held-long`: nothing is renewed after that", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 24_000, heldLongMs: 8_000 });
    const lock = await clock.until(locks.lock("a"));
    locks.on("held-long", () => void lock.unlock());
    await clock.advance(20_000);
    expect(driver.of("release")).toHaveLength(1);
    expect(driver.of("extend")).toHaveLength(0);
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
    const { clock, table, locks } = immediate();
    const lock = await clock.until(locks.lock("a", { ttlMs: 3_000 }));
    const seen: unknown[] = [];
    locks.on("acquired", () => seen.push(lock.isHeld, lock.signal.aborted));
    const waiting = watchPromise(locks.lock("a"));
    table.drop("a");
    await clock.advance(1_000);
    expect(waiting.state).toBe("resolved");
    expect(seen).toEqual([false, true]);
    await clock.until(locks.close());
  });
});

test("a listener of a foreseen deadlock aborts the wait that would be part of it", async () => {
  const { clock, locks } = scenario({ detectDeadlocks: true });
  const aborter = new AbortController();
  locks.on("deadlock", () => aborter.abort(new Error("enough")));
  await clock.until(locks.withLock("a", () => locks.withLock("b", () => {})));
  const inverse = locks.withLock("b", () => locks.withLock("a", { signal: aborter.signal }, () => "ran"));
  expect(await errorOf(clock.until(inverse))).toMatchObject({ message: "enough" });
});

test("waiters who asked the server together and were refused get their turn in the order they came", async () => {
  const { clock, driver, locks } = scenario({ waitMs: 60_000 });
  const others = [0, 1, 2].map((each) => driver.table.occupy("a", 3_600_000, `other ${each}`, "shared"));
  driver.always("acquire", slow(5, 5));
  const order: number[] = [];
  for (const each of [0, 1, 2, 3]) {
    void locks.lock("a", { mode: "shared", limit: 4 }).then(() => order.push(each));
    await clock.advance(1);
  }
  for (const letGo of [() => true, ...others]) {
    letGo();
    await clock.advance(2_000);
  }
  expect(order).toEqual([0, 1, 2, 3]);
  await clock.until(locks.close());
});

describe("a retry strategy", () => {
  test("that aborts its own wait leaves nothing behind", async () => {
    const { clock, driver, locks } = scenario();
    const letGo = driver.table.occupy("a");
    const aborter = new AbortController();
    const retry = {
      *[Symbol.iterator]() {
        aborter.abort(new Error("enough"));
        yield 100;
      },
    };
    expect(await errorOf(clock.until(locks.lock("a", { retry, signal: aborter.signal })))).toMatchObject({ message: "enough" });
    letGo();
    await clock.advance(5_000);
    expect(driver.table.size).toBe(0);
    expect(locks.stats()).toMatchObject({ waiting: 0, active: 0, total: 0 });
    expect(clock.pending).toBe(0);
  });

  test("of no interval at all lets the event loop turn between attempts", async () => {
    const { clock, locks } = immediate();
    const holder = await clock.until(locks.lock("a", { owner: "other" }));
    let asked = 0;
    const retry = {
      *[Symbol.iterator]() {
        while (asked++ < 10_000) yield 0;
      },
    };
    const waiting = watchPromise(locks.lock("a", { retry, waitMs: 60_000 }));
    await clock.advance(50);
    expect(asked).toBeLessThan(100);
    await clock.until(holder.unlock());
    await clock.advance(50);
    expect(waiting.state).toBe("resolved");
  });

  test("without an end keeps the process alive also for those who wait in line", async () => {
    const { clock, locks } = scenario({ retryCount: 3 });
    await clock.until(locks.lock("a"));
    void locks.lock("a", { retry: fixedInterval(100) }).catch(() => {});
    await clock.settle();
    expect(clock.vital).toBe(1);
    await clock.until(locks.close());
  });
});

describe("a driver", () => {
  test("that throws what is no error and has no string fails that call only", async () => {
    const { clock, driver, locks } = scenario();
    driver.next("acquire", failing(Object.create(null)));
    driver.next("ping", failing(Object.create(null)));
    expect(await errorOf(clock.until(locks.tryLock("a")))).toMatchObject({ code: "DLOCK_BACKEND" });
    expect(await errorOf(clock.until(locks.ping()))).toMatchObject({ code: "DLOCK_BACKEND" });
    expect(await clock.until(locks.tryLock("a"))).toBeDefined();
  });

  test("whose laneOf throws fails that call only", async () => {
    let broken = true;
    const { clock, locks } = scenario(
      {},
      {
        laneOf: () => {
          if (broken) throw new Error("no such shard");
          return "one";
        },
      },
    );
    const error = await errorOf(clock.until(locks.lock("a", { waitMs: 500 })));
    expect(error).toMatchObject({ code: "DLOCK_BACKEND", message: expect.stringContaining("no such shard") });
    expect(locks.stats().waiting).toBe(0);
    broken = false;
    const lock = await clock.until(locks.lock("a"));
    broken = true;
    await clock.advance(10_000);
    expect(await errorOf(clock.until(lock.unlock()))).toMatchObject({ code: "DLOCK_BACKEND" });
    await clock.until(locks.close());
  });

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

  test("whose watch throws when it is ended costs no lock", async () => {
    const { clock, driver, locks } = scenario({}, { watch: true });
    const errors = record(locks, "error");
    const letGo = driver.table.occupy("a");
    driver.watchReplies.push((stand) => {
      stand();
      return Promise.resolve(() => {
        throw new Error("cannot stop");
      });
    });
    const waiting = watchPromise(locks.lock("a"));
    await clock.advance(100);
    letGo();
    await clock.advance(3_000);
    expect(waiting.state).toBe("resolved");
    expect(errors).toHaveLength(1);
  });

  test("that says `not applied` to a release, and then finds nothing, has freed nothing", async () => {
    const { clock, driver, locks } = scenario();
    const lock = await clock.until(locks.lock("a"));
    driver.table.drop("a");
    driver.next("release", () => [driverError("busy", { applied: "no", retryable: true })]);
    expect(await clock.until(lock.unlock())).toBe(false);
    expect(driver.of("release")).toHaveLength(2);
  });
});

describe("a lease that is handed on", () => {
  test("is renewed in the next holder's rhythm, not in the last one's", async () => {
    const { clock, locks } = scenario({ ttlMs: 3_000 });
    const first = await clock.until(locks.lock("a"));
    first.autoRefresh({ intervalMs: 1_000_000 });
    const waiting = locks.lock("a");
    await clock.advance(50);
    await clock.until(first.unlock());
    const second = await clock.until(waiting);
    await clock.advance(60_000);
    expect(second.isHeld).toBe(true);
    expect(locks.stats().handOffs).toBe(1);
    await clock.until(locks.close());
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

  test("waits for as long as the provider's retries take", async () => {
    const { clock, driver, locks } = scenario({ retryCount: 3, retryDelayMs: 1_000 });
    driver.table.occupy("b", 60_000);
    const error = await errorOf(clock.until(locks.lockAll(["a", "b"])));
    expect(error).toMatchObject({ code: "DLOCK_TIMEOUT", key: "b" });
    expect(clock.now()).toBeLessThanOrEqual(4_000);
    expect(driver.table.size).toBe(1);
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

describe("held-long", () => {
  test("while a renewal is in flight sends no second one", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 24_000, heldLongMs: 9_000, attemptTimeoutMs: 3_000 });
    await clock.until(locks.lock("a"));
    driver.next("extend", silent);
    await clock.advance(9_500);
    expect(driver.of("extend")).toHaveLength(1);
    await clock.until(locks.close());
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

describe("a handle that is dropped while others of its lease are held", () => {
  test("is not counted as active when the last of them is unlocked", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 3_000 });
    const body = async () => {
      await locks.lock("a", { reentrant: true });
      await clock.sleep(1_500);
      collectGarbage();
    };
    await clock.until(locks.withLock("a", body));
    expect(driver.table.size).toBe(0);
    expect(locks.stats().active).toBe(0);
  });
});

describe("provider.unlock()", () => {
  test("frees a lock of which only the owner's name was kept", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 3_000 });
    const owner = await clock.until(locks.lock("a").then((lock) => lock.owner));
    await clock.advance(1_500);
    collectGarbage();
    expect(await clock.until(locks.unlock("a", owner))).toBe(true);
    expect(driver.table.size).toBe(0);
    expect(locks.stats()).toMatchObject({ active: 0, lost: 0, unlockCount: 1 });
  });
});
