/** Servers that do not answer, answers that get lost, and claims that are delivered late. */
import { describe, expect, test } from "vitest";
import { fixedInterval, LockBackendError } from "../src/index.ts";
import { errorOf, record, scenario, watchPromise } from "./support/scenario.ts";
import { late, lost, silent, slow } from "./support/scripted-driver.ts";

describe("a driver that never answers", () => {
  test.each([0, 1_000, 7_000])("ends lock() within waitMs (%i) and one attempt's time", async (waitMs) => {
    const { clock, driver, locks } = scenario({ attemptTimeoutMs: 2_000 });
    driver.always("acquire", silent);
    const error = await errorOf(clock.until(locks.lock("a", { waitMs })));
    expect(error).toBeInstanceOf(LockBackendError);
    expect((error as Error).message).toContain("did not answer");
    expect(clock.now()).toBeGreaterThanOrEqual(waitMs);
    expect(clock.now()).toBeLessThanOrEqual(waitMs + 2_000);
  });

  test("ends every call in time, however many calls hang already", async () => {
    const { clock, driver, locks } = scenario({ attemptTimeoutMs: 2_000 });
    driver.always("acquire", silent);
    const longest: number[] = [];
    const calls: Promise<unknown>[] = [];
    for (let call = 0; call < 40; call++) {
      const waitMs = (call % 4) * 500;
      const began = clock.now();
      const ended = locks.lock(`key ${call}`, { waitMs }).catch(() => longest.push(clock.now() - began - waitMs));
      calls.push(ended);
      await clock.advance(37);
    }
    await clock.until(Promise.all(calls));
    expect(longest).toHaveLength(40);
    expect(Math.max(...longest)).toBeLessThanOrEqual(2_000);
  });

  test("ends the waiters behind it as well", async () => {
    const { clock, driver, locks } = scenario({ attemptTimeoutMs: 2_000 });
    driver.always("acquire", silent);
    const errors = await clock.until(Promise.all(Array.from({ length: 20 }, () => errorOf(locks.lock("a", { waitMs: 1_000 })))));
    expect(errors.every((error) => error instanceof Error)).toBe(true);
    expect(clock.now()).toBeLessThanOrEqual(3_000);
    expect((await clock.until(Promise.all([errorOf(locks.tryLock("a"))])))[0]).toBeInstanceOf(LockBackendError);
    expect(clock.now()).toBeLessThanOrEqual(5_000);
  });

  test.each(["inspect", "ping", "sweep"] as const)("ends %s() in time", async (operation) => {
    const { clock, driver, locks } = scenario({ attemptTimeoutMs: 2_000 });
    driver.always(operation, silent);
    const error = await errorOf(clock.until<unknown>(locks[operation]("a")));
    expect(error).toMatchObject({ code: "DLOCK_BACKEND" });
    expect(clock.now()).toBeLessThanOrEqual(2_000);
    expect(clock.pending).toBe(0);
  });
});

describe("a lost reply", () => {
  test("is followed by an attempt of the same owner, which gets the same lease and token", async () => {
    const { clock, driver, locks } = scenario({ attemptTimeoutMs: 1_000 });
    driver.next("acquire", lost);
    const lock = await clock.until(locks.lock("a"));
    const [first, second] = driver.claimsOf("acquire");
    expect(second?.owner).toBe(first?.owner);
    expect(driver.table.holders("a")).toMatchObject([{ owner: first?.owner, token: 1n }]);
    expect(lock.token >> 10n).toBe(1n);
    expect(driver.of("release")).toHaveLength(0);
  });

  test("of a lock that was then held and released is undone until it can no longer be delivered", async () => {
    const { clock, driver, locks } = scenario({ attemptTimeoutMs: 1_000, ttlMs: 30_000 });
    driver.next("acquire", late(20_000));
    const lock = await clock.until(locks.lock("a"));
    await clock.until(lock.unlock());
    await clock.advance(20_000 - clock.now() - 1);
    expect(driver.table.size).toBe(0);
    await clock.advance(1);
    expect(driver.table.size).toBe(1); // The ghost.
    await clock.advance(6_000);
    expect(driver.table.size).toBe(0);
    await clock.advance(60_000);
    expect(clock.pending).toBe(0);
  });
});

describe("an attempt that was given up", () => {
  test("is undone each second at first, then each five, and no longer than it can be delivered", async () => {
    const { clock, driver, locks } = scenario({ attemptTimeoutMs: 1_000, ttlMs: 30_000 });
    driver.always("acquire", silent);
    await errorOf(clock.until(locks.lock("a", { waitMs: 0 })));
    const gaveUpAt = clock.now();
    await clock.advance(300_000);
    const rounds = driver.of("release").map((call) => call.at - gaveUpAt);
    expect(rounds.slice(0, 11)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((second) => second * 1_000));
    const gaps = rounds.slice(1).map((at, index) => at - (rounds[index] as number));
    expect(Math.max(...gaps)).toBeLessThanOrEqual(5_000);
    expect(Math.max(...rounds)).toBeLessThanOrEqual(60_000);
    expect(Math.max(...rounds)).toBeGreaterThan(54_000);
    expect(driver.claimsOf("release").every((claim) => claim.token === undefined)).toBe(true);
    expect(clock.pending).toBe(0);
  });

  test.each([500, 3_000, 9_500, 12_000, 33_000, 58_000])(
    "and delivered after %i ms makes a ghost that lives until the next round only",
    async (ms) => {
      const { clock, driver, locks } = scenario({ attemptTimeoutMs: 100, ttlMs: 300_000 });
      driver.next("acquire", late(ms));
      await errorOf(clock.until(locks.lock("a", { waitMs: 0 })));
      await clock.advance(ms - clock.now());
      expect(driver.table.size).toBe(1);
      const bornAt = clock.now();
      while (driver.table.size > 0) await clock.advance(100);
      expect(clock.now() - bornAt).toBeLessThanOrEqual(ms < 10_000 ? 1_100 : 5_100);
    },
  );

  test("is undone for as long as its TTL when that is longer than a minute", async () => {
    const { clock, driver, locks } = scenario({ attemptTimeoutMs: 100, ttlMs: 120_000 });
    driver.next("acquire", late(110_000));
    await errorOf(clock.until(locks.lock("a", { waitMs: 0 })));
    await clock.advance(109_900);
    expect(driver.table.size).toBe(1);
    await clock.advance(5_000);
    expect(driver.table.size).toBe(0);
  });

  test("is undone in one batch with the others", async () => {
    const { clock, driver, locks } = scenario({ attemptTimeoutMs: 1_000 });
    driver.always("acquire", silent);
    await clock.until(Promise.all(Array.from({ length: 50 }, (_, index) => errorOf(locks.lock(`key ${index}`, { waitMs: 0 })))));
    const before = driver.of("release").length;
    await clock.advance(1_000);
    const calls = driver.of("release").slice(before);
    expect(calls).toHaveLength(1);
    expect(calls[0]?.claims).toHaveLength(50);
  });

  test("frees the key for a local waiter at once when its undo finds something", async () => {
    const { clock, driver, locks } = scenario({ attemptTimeoutMs: 1_000, retry: fixedInterval(100_000) });
    driver.next("acquire", late(1_500));
    await errorOf(clock.until(locks.lock("a", { waitMs: 0 })));
    await clock.advance(600);
    const lock = await clock.until(locks.lock("a", { waitMs: 30_000 }));
    expect(lock.isHeld).toBe(true);
    expect(clock.now()).toBeLessThanOrEqual(3_000);
  });
});

describe("a grant that arrives when its lease is already over", () => {
  test("is given back and not returned", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 1_000, attemptTimeoutMs: 5_000 });
    driver.next("acquire", slow(0, 1_000));
    const lock = await clock.until(locks.lock("a"));
    const [first, second] = driver.claimsOf("acquire");
    expect(second?.owner).not.toBe(first?.owner);
    expect(driver.claimsOf("release")).toMatchObject([{ key: "a", owner: first?.owner, token: 1n }]);
    expect(lock.remainingMs).toBeGreaterThan(900);
  });

  test("fails a single attempt", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 1_000, attemptTimeoutMs: 5_000 });
    driver.next("acquire", slow(500, 999));
    const acquired = record(locks, "acquired");
    const error = await errorOf(clock.until(locks.lock("a", { waitMs: 0 })));
    expect(error).toMatchObject({ code: "DLOCK_BACKEND" });
    await clock.advance(10);
    expect(driver.table.size).toBe(0);
    expect(acquired).toHaveLength(0);
  });
});

describe("an event loop that was blocked for longer than an attempt's time", () => {
  /** An answer that lies in the socket: nobody reads it before the timers that are due have run. */
  function inTheSocket() {
    let read = () => {};
    const reply = (serve: () => unknown) => {
      const answer = serve();
      return new Promise((resolve) => {
        read = () => resolve(answer);
      });
    };
    return { reply, read: () => read() };
  }

  test("reads an answer that has come meanwhile before the call counts as unanswered", async () => {
    const { clock, driver, locks } = scenario({ attemptTimeoutMs: 1_000 });
    const { reply, read } = inTheSocket();
    driver.next("acquire", reply);
    const locking = watchPromise(locks.lock("a", { waitMs: 0 }));
    await clock.settle();
    clock.jump(5_000);
    await clock.advance(0);
    expect(locking.state).toBe("pending");
    read();
    await clock.settle();
    expect(locking).toMatchObject({ state: "resolved", value: { isHeld: true } });
    expect(driver.of("release")).toHaveLength(0);
    expect(clock.now()).toBe(5_000);
  });

  test("waits hardly longer for one that has not", async () => {
    const { clock, driver, locks } = scenario({ attemptTimeoutMs: 1_000 });
    driver.next("acquire", silent);
    const locking = errorOf(locks.lock("a", { waitMs: 0 }));
    await clock.settle();
    clock.jump(5_000);
    expect(await clock.until(locking)).toMatchObject({ code: "DLOCK_BACKEND" });
    expect(clock.now()).toBe(5_050);
  });

  test.each(["inspect", "ping", "sweep"] as const)("reads the answer to %s() as well", async (operation) => {
    const { clock, driver, locks } = scenario({ attemptTimeoutMs: 1_000 });
    const { reply, read } = inTheSocket();
    driver.next(operation, reply);
    const asking = watchPromise<unknown>(locks[operation]("a"));
    await clock.settle();
    clock.jump(5_000);
    await clock.advance(0);
    read();
    await clock.settle();
    expect(asking.state).toBe("resolved");
    await clock.advance(100);
    expect(clock.pending).toBe(0);
  });

  test("tells of a lost lease at once, and keeps a renewal from reviving it", async () => {
    const { clock, driver, locks } = scenario({ attemptTimeoutMs: 1_000, ttlMs: 3_000 });
    const lock = await clock.until(locks.lock("a"));
    const { signal } = lock;
    const { reply, read } = inTheSocket();
    driver.next("extend", reply);
    await clock.advance(1_000);
    expect(driver.of("extend")).toHaveLength(1);
    clock.jump(5_000);
    expect(lock.isHeld).toBe(false);
    await clock.advance(0);
    expect(signal.aborted).toBe(true);
    read();
    await clock.advance(1);
    expect(lock.isHeld).toBe(false);
  });

  test("renews a lease that is live still with an answer that has come meanwhile", async () => {
    const { clock, driver, locks } = scenario({ attemptTimeoutMs: 200, ttlMs: 3_000 });
    const lock = await clock.until(locks.lock("a"));
    const { reply, read } = inTheSocket();
    driver.next("extend", reply);
    const atRisk = record(locks, "at-risk");
    await clock.advance(1_000);
    clock.jump(1_000);
    await clock.advance(0);
    read();
    await clock.settle();
    expect(lock.remainingMs).toBe(1_970);
    expect(driver.of("extend")).toHaveLength(1);
    expect(atRisk).toHaveLength(0);
  });

  test("ends a call at once, too, when the provider is closed", async () => {
    const { clock, driver, locks } = scenario({ attemptTimeoutMs: 1_000 });
    driver.next("inspect", silent);
    const asking = errorOf(locks.inspect("a"));
    await clock.settle();
    clock.jump(5_000);
    await clock.advance(0);
    await clock.until(locks.close());
    expect(await asking).toMatchObject({ code: "DLOCK_CLOSED" });
    expect(clock.now()).toBe(5_000);
    expect(clock.pending).toBe(0);
  });

  test("begins to count when the call goes out, not when it was made", async () => {
    const { clock, driver, locks } = scenario({ attemptTimeoutMs: 1_000 });
    driver.next("acquire", slow(100, 100));
    const locking = locks.lock("a", { waitMs: 0 });
    clock.jump(5_000);
    const lock = await clock.until(locking);
    expect(lock.isHeld).toBe(true);
    expect(clock.now()).toBe(5_200);
  });

  test("leaves half of an attempt's time to the server also for what waited behind a call under way", async () => {
    const { clock, driver, locks } = scenario({ attemptTimeoutMs: 1_000 });
    driver.next("acquire", silent, slow(100, 100));
    const first = errorOf(locks.lock("a", { waitMs: 0 }));
    await clock.settle();
    const second = locks.lock("b", { waitMs: 0 });
    clock.jump(5_000);
    expect((await clock.until(second)).isHeld).toBe(true);
    expect(driver.of("acquire")[1]).toMatchObject({ at: 5_000, timeoutMs: 450 });
    await clock.until(first);
  });
});
