/** An owner that the user gave: the same holder wherever it asks. */
import { describe, expect, test } from "vitest";
import { type Lock, LockBackendError } from "../src/index.ts";
import { errorOf, scenario, watchPromise } from "./support/scenario.ts";
import { late, lost, silent, slow } from "./support/scripted-driver.ts";

describe("the same owner", () => {
  test("asking again in this process gets a further hold at once, freed by the last unlock", async () => {
    const { clock, driver, locks } = scenario();
    const first = await clock.until(locks.lock("a", { owner: "me" }));
    const second = await clock.until(locks.lock("a", { owner: "me" }));
    const third = await clock.until(locks.tryLock("a", { owner: "me" }));
    expect(driver.of("acquire")).toHaveLength(1);
    expect([second.owner, second.token]).toEqual(["me", first.token]);
    expect(await clock.until(second.unlock())).toBe(true);
    expect(await clock.until(first.unlock())).toBe(true);
    expect(await clock.until(first.unlock())).toBe(true); // Idempotent: it does not count twice.
    expect(third?.isHeld).toBe(true);
    expect(driver.table.size).toBe(1);
    expect(await clock.until(third?.unlock() as Promise<boolean>)).toBe(true);
    expect(driver.table.size).toBe(0);
    expect(locks.stats()).toMatchObject({ active: 0, unlockCount: 3, total: 3 });
  });

  test("does not stand behind waiters without that owner", async () => {
    const { clock, locks } = scenario();
    const first = await clock.until(locks.lock("a", { owner: "me" }));
    const other = watchPromise(locks.lock("a", { waitMs: 60_000 }));
    await clock.settle();
    const second = await clock.until(locks.lock("a", { owner: "me" }));
    await clock.until(first.unlock());
    await clock.advance(10);
    expect(other.state).toBe("pending");
    await clock.until(second.unlock());
    await clock.advance(300);
    expect(other.state).toBe("resolved");
  });

  test("asking several times in one tick makes one lease", async () => {
    const { clock, driver, locks } = scenario();
    const holds = await clock.until(Promise.all(Array.from({ length: 5 }, () => locks.lock("a", { owner: "me" }))));
    expect(driver.claimsOf("acquire")).toHaveLength(1);
    for (const hold of holds) {
      expect(driver.table.size).toBe(1);
      await clock.until(hold.unlock());
    }
    expect(driver.table.size).toBe(0);
  });

  test("asking again when the time of its hold is over, which no timer could tell yet, is granted a new one", async () => {
    const { clock, driver, locks } = scenario();
    const first = await clock.until(locks.lock("a", { owner: "me", maxHoldMs: 100 }));
    clock.jump(200);
    const second = await clock.until(locks.lock("a", { owner: "me" }));
    expect(first.isHeld).toBe(false);
    expect(second.isHeld).toBe(true);
    expect(second.token).toBeGreaterThan(first.token);
    expect(driver.table.size).toBe(1);
  });

  test("asking again while its lease is given back is granted a new one, not the one that is about to end", async () => {
    const { clock, driver, locks } = scenario();
    const first = await clock.until(locks.lock("a", { owner: "me", mode: "shared", limit: 1, maxHoldMs: 100 }));
    // Another limit, so no further hold of the same lease.
    const waiting = locks.lock("a", { owner: "me", mode: "shared", limit: 2 });
    driver.next("release", slow(1));
    driver.next("acquire", slow(0, 5));
    const second = await clock.until(waiting);
    expect(first.isHeld).toBe(false);
    expect(second.token).toBeGreaterThan(first.token);
    expect(driver.table.size).toBe(1);
  });

  test("in two processes is the same holder", async () => {
    const { clock, locks, another } = scenario();
    const here = await clock.until(locks.lock("a", { owner: "me" }));
    const there = await clock.until(another().locks.lock("a", { owner: "me" }));
    expect(there.token).toBe(here.token);
  });

  test("is renewed in one process without cutting back what the other was promised", async () => {
    const { clock, locks, another } = scenario();
    const here = await clock.until(locks.lock("a", { owner: "me", ttlMs: 60_000, autoRenew: false }));
    const there = another();
    await clock.until(there.locks.lock("a", { owner: "me", ttlMs: 10_000 }));
    await clock.advance(5_000);
    // That process is gone.
    for (const operation of ["extend", "release"] as const) there.driver.always(operation, silent);
    await clock.advance(20_000);
    expect(here.isHeld).toBe(true);
    expect(await clock.until(another().locks.tryLock("a"))).toBeUndefined();
  });

  test("in another mode waits, as for anyone else", async () => {
    const { clock, locks } = scenario();
    const first = await clock.until(locks.lock("a", { owner: "me" }));
    expect(await clock.until(locks.tryLock("a", { owner: "me", mode: "shared" }))).toBeUndefined();
    const reader = watchPromise(locks.lock("a", { owner: "me", mode: "shared" }));
    await clock.advance(100);
    expect(reader.state).toBe("pending");
    await clock.until(first.unlock());
    await clock.advance(100);
    expect(reader.state).toBe("resolved");
  });

  test("of another key or with another name is another holder", async () => {
    const { clock, locks } = scenario();
    await clock.until(locks.lock("a", { owner: "bc" }));
    expect(await clock.until(locks.tryLock("ab", { owner: "c" }))).toBeDefined();
    expect(await clock.until(locks.tryLock("a", { owner: "b" }))).toBeUndefined();
  });

  test("is told of a loss in every hold", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 1_000 });
    const holds = await clock.until(Promise.all([locks.lock("a", { owner: "me" }), locks.lock("a", { owner: "me" })]));
    const signals = holds.map((hold) => hold.signal);
    driver.always("extend", silent);
    await clock.advance(1_000);
    expect(signals.map((signal) => signal.aborted)).toEqual([true, true]);
    expect(locks.stats()).toMatchObject({ active: 0, lost: 2 });
  });

  test("can be renewed and freed by name, one hold at a time", async () => {
    const { clock, driver, locks } = scenario();
    await clock.until(locks.lock("a", { owner: "me" }));
    await clock.until(locks.lock("a", { owner: "me" }));
    await clock.until(locks.renew("a", "me", 60_000));
    expect(driver.table.holders("a")[0]?.remainingMs).toBe(60_000);
    expect(await clock.until(locks.unlock("a", "me"))).toBe(true);
    expect(driver.table.size).toBe(1);
    expect(await clock.until(locks.unlock("a", "me"))).toBe(true);
    expect(driver.table.size).toBe(0);
    expect(await clock.until(locks.unlock("a", "me"))).toBe(false);
  });

  test("renews when the first hold did not ask for it and a later one does", async () => {
    const { clock, locks } = scenario({ ttlMs: 3_000 });
    await clock.until(locks.lock("a", { owner: "me", autoRenew: false }));
    const second = await clock.until(locks.lock("a", { owner: "me" }));
    await clock.advance(10_000);
    expect(second.isHeld).toBe(true);
  });
});

describe("a further hold that asks for more than what is left of the lease", () => {
  test("has it renewed first, and lives for its own TTL; one that asks for less asks nobody", async () => {
    const { clock, driver, locks } = scenario();
    await clock.until(locks.lock("a", { owner: "me", ttlMs: 1_000, autoRenew: false }));
    await clock.advance(500);
    const long = await clock.until(locks.lock("a", { owner: "me", ttlMs: 60_000, autoRenew: false }));
    expect(long.remainingMs).toBeGreaterThan(59_000);
    await clock.advance(50_000);
    expect(long.isHeld).toBe(true);
    const short = await clock.until(locks.lock("a", { owner: "me", ttlMs: 1_000, autoRenew: false }));
    expect(short.remainingMs).toBe(long.remainingMs);
    expect([driver.of("acquire").length, driver.of("extend").length]).toEqual([1, 1]);
    await clock.until(short.refresh());
    expect(long.remainingMs).toBeGreaterThan(59_000); // Its own TTL is by now the longest of all holds.
    expect(locks.stats()).toMatchObject({ active: 3, total: 3 });
  });

  test("leaves the lease with renewals that keep up its TTL", async () => {
    const { clock, driver, locks } = scenario();
    await clock.until(locks.lock("a", { owner: "me", ttlMs: 1_000 }));
    const long = await clock.until(locks.lock("a", { owner: "me", ttlMs: 60_000 }));
    for (let minutes = 0; minutes < 5; minutes++) {
      await clock.advance(60_000);
      expect(long.remainingMs).toBeGreaterThan(30_000);
    }
    expect(driver.of("extend").length).toBeLessThan(20);
  });

  test("renews what a refresh made longer for as long as it asks, too", async () => {
    const { clock, locks } = scenario();
    const first = await clock.until(locks.lock("a", { owner: "me", ttlMs: 1_000 }));
    await clock.until(first.refresh(100_000));
    const long = await clock.until(locks.lock("a", { owner: "me", ttlMs: 60_000 }));
    await clock.advance(150_000);
    expect(long.remainingMs).toBeGreaterThan(30_000);
  });

  test("is a BackendError without an answer, and leaves the first hold as it is", async () => {
    const { clock, driver, locks } = scenario();
    const first = await clock.until(locks.lock("a", { owner: "me", ttlMs: 10_000, autoRenew: false }));
    driver.next("extend", lost);
    const error = await errorOf(clock.until(locks.lock("a", { owner: "me", ttlMs: 60_000 })));
    expect(error).toBeInstanceOf(LockBackendError);
    expect(first.isHeld).toBe(true);
    expect(await clock.until(first.unlock())).toBe(true);
    expect(driver.table.size).toBe(0);
    expect(locks.stats()).toMatchObject({ active: 0, waiting: 0, failed: 1 });
  });

  test("is granted a new one when the first hold lets go meanwhile, or is found to be over", async () => {
    const { clock, driver, locks } = scenario();
    const take = (ttlMs: number) => locks.lock("a", { owner: "me", ttlMs, autoRenew: false });
    for (const end of [(lock: Lock) => lock.unlock(), () => driver.table.drop("a")]) {
      const first = await clock.until(take(1_000));
      driver.next("extend", slow(5, 5));
      const further = [watchPromise(take(60_000)), watchPromise(take(50_000))];
      await end(first);
      await clock.advance(100);
      const [one, two] = further.map(({ value }) => value as Lock);
      expect(one?.token).toBeGreaterThan(first.token);
      expect(two?.token).toBe(one?.token);
      expect(one?.remainingMs).toBeGreaterThan(58_000);
      expect(first.isHeld).toBe(false);
      for (const lock of [one, two]) await clock.until((lock as Lock).unlock());
      expect(driver.table.size).toBe(0);
    }
  });

  test("ends at once with its signal, and with close", async () => {
    const { clock, driver, locks } = scenario();
    const first = await clock.until(locks.lock("a", { owner: "me", ttlMs: 10_000, autoRenew: false }));
    driver.always("extend", silent);
    const controller = new AbortController();
    const aborted = watchPromise(locks.lock("a", { owner: "me", ttlMs: 60_000, signal: controller.signal }));
    const closed = watchPromise(locks.lock("a", { owner: "me", ttlMs: 60_000 }));
    await clock.advance(10);
    controller.abort("enough");
    await clock.settle();
    expect(aborted.error).toBe("enough");
    expect(first.isHeld).toBe(true);
    const closing = locks.close();
    await clock.settle();
    expect(closed.error).toMatchObject({ code: "DLOCK_CLOSED" });
    await clock.until(closing);
    await clock.advance(100_000);
    expect(clock.pending).toBe(0);
    expect(locks.stats()).toMatchObject({ active: 0, waiting: 0 });
  });
});

describe("maxHoldMs of several holds of one lease", () => {
  test("gives the lease up for all of them at the earliest", async () => {
    const { clock, driver, locks } = scenario();
    const first = await clock.until(locks.lock("a", { owner: "me", maxHoldMs: 10_000 }));
    const second = await clock.until(locks.lock("a", { owner: "me", maxHoldMs: 1_000 }));
    expect([first.remainingMs, second.remainingMs]).toEqual([1_000, 1_000]);
    await clock.advance(1_000);
    expect([first.isHeld, second.isHeld]).toEqual([false, false]);
    expect(first.signal.reason).toMatchObject({ code: "DLOCK_LOST", reason: "max-hold" });
    expect(driver.table.size).toBe(0);
  });

  test("is no bound any more for the others once its hold is unlocked", async () => {
    const { clock, locks } = scenario();
    const first = await clock.until(locks.lock("a", { owner: "me", maxHoldMs: 10_000 }));
    const second = await clock.until(locks.lock("a", { owner: "me", maxHoldMs: 1_000 }));
    await clock.until(second.unlock());
    await clock.advance(9_999);
    expect(first.isHeld).toBe(true);
    const third = await clock.until(locks.lock("a", { owner: "me" }));
    await clock.until(first.unlock());
    await clock.advance(60_000);
    expect(third.isHeld).toBe(true);
  });

  test("may be set for one hold by autoRefresh, and leaves those of the others", async () => {
    const { clock, locks } = scenario();
    const first = await clock.until(locks.lock("a", { owner: "me", maxHoldMs: 10_000 }));
    const second = await clock.until(locks.lock("a", { owner: "me", maxHoldMs: 1_000 }));
    void second.autoRefresh({ maxHoldMs: 60_000 });
    await clock.advance(9_999);
    expect([first.isHeld, second.isHeld]).toEqual([true, true]);
    await clock.advance(1);
    expect([first.isHeld, second.isHeld]).toEqual([false, false]);
  });
});

describe("an attempt of that owner whose outcome is unknown", () => {
  test("is never undone by owner, neither given up nor held and released", async () => {
    const { clock, driver, locks } = scenario({ attemptTimeoutMs: 1_000, ttlMs: 10_000 });
    driver.next("acquire", lost);
    await errorOf(clock.until(locks.lock("a", { owner: "me", waitMs: 0 })));
    await clock.advance(60_000);
    driver.next("acquire", lost);
    const lock = await clock.until(locks.lock("a", { owner: "me" }));
    await clock.until(lock.unlock());
    await clock.advance(90_000);
    expect(driver.claimsOf("release").filter((claim) => claim.token === undefined)).toEqual([]);
    expect(driver.table.size).toBe(0);
  });
});

describe("a stale delayed release of an earlier hold", () => {
  test("frees nothing: it names the earlier token", async () => {
    const { clock, driver, locks } = scenario({ attemptTimeoutMs: 1_000, ttlMs: 30_000 });
    const first = await clock.until(locks.lock("a", { owner: "me" }));
    driver.next("release", late(5_000));
    expect(await clock.until(first.unlock())).toBe(true); // The second try finds it.
    const second = await clock.until(locks.lock("a", { owner: "me" }));
    expect(second.token).toBeGreaterThan(first.token);
    await clock.advance(10_000);
    expect(driver.table.holders("a")).toHaveLength(1);
    expect(second.isHeld).toBe(true);
  });

  test("frees nothing either when the same owner came back before any release had arrived", async () => {
    const { clock, driver, locks } = scenario({ attemptTimeoutMs: 1_000, ttlMs: 30_000 });
    const first = await clock.until(locks.lock("a", { owner: "me" }));
    driver.next("release", silent, silent, silent);
    expect(await errorOf(clock.until(first.unlock()))).toBeInstanceOf(LockBackendError);
    const second = await clock.until(locks.lock("a", { owner: "me", waitMs: 60_000 }));
    for (let second_ = 0; second_ < 60; second_++) {
      await clock.advance(1_000);
      expect(second.isHeld).toBe(true);
      expect(driver.table.holders("a")).toHaveLength(1);
    }
  });
});
