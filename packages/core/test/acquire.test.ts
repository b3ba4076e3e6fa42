/** Waiting for a lock: what wakes a waiter, and when its wait ends. */
import { describe, expect, test } from "vitest";
import { driverError, fixedInterval, LockBackendError, LockNotAcquiredError, LockTimeoutError } from "../src/index.ts";
import { errorOf, record, scenario, watchPromise } from "./support/scenario.ts";
import { failing, slow } from "./support/scripted-driver.ts";

describe("a free key", () => {
  test("is granted with one driver call, sent in the same tick", async () => {
    const { clock, driver, locks } = scenario();
    const pending = locks.lock("a");
    await Promise.resolve();
    await Promise.resolve();
    expect(driver.of("acquire")).toHaveLength(1);
    const lock = await clock.until(pending);
    expect(lock).toMatchObject({ key: "a", mode: "exclusive", isHeld: true, token: 1n << 10n });
    expect(await clock.until(lock.unlock())).toBe(true);
    expect(driver.calls.map((call) => call.operation)).toEqual(["acquire", "release"]);
    expect(driver.table.size).toBe(0);
  });

  test("gets what was asked for in its claim", async () => {
    const { clock, driver, locks } = scenario();
    await clock.until(locks.lock("a", { ttlMs: 5_000, mode: "shared", limit: 3, metadata: "note", owner: "me", attemptTimeoutMs: 700 }));
    expect(driver.claimsOf("acquire")).toEqual([{ key: "a", owner: "me", ttlMs: 5_000, mode: "shared", limit: 3, metadata: "note" }]);
    expect(driver.of("acquire")[0]?.timeoutMs).toBeLessThanOrEqual(700);
  });
});

describe("a waiter", () => {
  test("is woken by a notification long before its timers", async () => {
    const { clock, driver, locks } = scenario({ retry: fixedInterval(60_000) }, { watch: true });
    const free = driver.table.occupy("a");
    const pending = locks.lock("a", { waitMs: 600_000 });
    const seen = watchPromise(pending);
    await clock.advance(7_000);
    expect(seen.state).toBe("pending");
    free();
    await clock.settle();
    expect(seen.state).toBe("resolved");
    expect(clock.now()).toBe(7_000);
  });

  test("tries again as soon as its watch stands, so that a release before that is not lost", async () => {
    const { clock, driver, locks } = scenario({ retry: fixedInterval(60_000) }, { watch: true });
    const free = driver.table.occupy("a");
    driver.watchReplies.push(async (stand) => {
      await clock.sleep(50);
      const stop = stand();
      return stop;
    });
    const pending = locks.lock("a", { waitMs: 600_000 });
    await clock.advance(20);
    free(); // Nobody watches yet: the notification goes to no one.
    await clock.until(pending);
    expect(clock.now()).toBe(50);
    expect(driver.of("acquire")).toHaveLength(2);
  });

  test("is woken when the holder's lease ends, without polling before", async () => {
    const { clock, driver, locks } = scenario({ retry: fixedInterval(60_000) });
    driver.table.occupy("a", 5_000);
    const lock = await clock.until(locks.lock("a"));
    expect(lock.isHeld).toBe(true);
    expect(clock.now()).toBeGreaterThanOrEqual(5_000);
    expect(clock.now()).toBeLessThan(5_010);
    expect(driver.of("acquire")).toHaveLength(2);
  });

  test("is woken by its strategy when that comes first", async () => {
    const { clock, driver, locks } = scenario();
    const free = driver.table.occupy("a");
    const pending = locks.lock("a", { retry: fixedInterval(300) });
    await clock.advance(250);
    free();
    await clock.until(pending);
    expect(clock.now()).toBe(300);
  });

  test("does not use up its strategy by notifications", async () => {
    const { clock, driver, locks } = scenario({}, { watch: true });
    const free = driver.table.occupy("a");
    const pending = locks.lock("a", { retry: fixedInterval(1_000, { maxRetries: 2 }), waitMs: 60_000 });
    const seen = watchPromise(pending);
    for (let hint = 0; hint < 30; hint++) {
      await clock.advance(10);
      driver.table.notify("a");
    }
    await clock.advance(100);
    expect(seen.state).toBe("pending");
    expect(driver.of("acquire").length).toBeGreaterThan(30);
    free();
    await clock.settle();
    expect(seen.state).toBe("resolved");
  });

  test("does not lose a notification that overtakes the reply of its refused attempt", async () => {
    const { clock, driver, locks } = scenario({ retry: fixedInterval(60_000) }, { watch: true });
    const free = driver.table.occupy("a");
    const pending = locks.lock("a", { waitMs: 600_000 });
    const seen = watchPromise(pending);
    await clock.settle();
    driver.next("acquire", slow(0, 100)); // Refused at once, but the answer takes 100 ms.
    driver.table.notify("a");
    await clock.advance(50);
    free(); // Its notification is here before the answer.
    await clock.advance(49);
    expect(seen.state).toBe("pending");
    await clock.advance(1);
    expect(seen.state).toBe("resolved");
  });

  test("goes on with its timers when the watch cannot stand, and the failure is told", async () => {
    const { clock, driver, locks } = scenario({ retry: fixedInterval(200) }, { watch: true });
    const errors = record(locks, "error");
    const free = driver.table.occupy("a");
    driver.watchReplies.push(() => Promise.reject(new Error("no subscription")));
    const pending = locks.lock("a");
    await clock.advance(100);
    free();
    await clock.until(pending);
    expect(clock.now()).toBe(200);
    expect(errors).toMatchObject([{ key: "a", error: { message: "no subscription" } }]);
  });

  test("goes on with its timers when the watch throws at once", async () => {
    const { clock, driver, locks } = scenario({ retry: fixedInterval(200) }, { watch: true });
    const errors = record(locks, "error");
    const free = driver.table.occupy("a");
    driver.watchReplies.push(() => {
      throw new Error("no watch today");
    });
    const pending = locks.lock("a");
    await clock.advance(100);
    free();
    await clock.until(pending);
    expect(errors).toHaveLength(1);
  });

  test("leaves no watch behind", async () => {
    const { clock, driver, locks } = scenario({}, { watch: true });
    const free = driver.table.occupy("a");
    const pending = locks.lock("a", { waitMs: 1_000 });
    const timedOut = locks.lock("b", { waitMs: 50 });
    driver.table.occupy("b");
    await clock.settle();
    free();
    await clock.until(pending);
    expect(await errorOf(clock.until(timedOut))).toBeInstanceOf(LockTimeoutError);
    expect(driver.table.watched).toBe(0);
  });

  test("stops a watch that stands only after the wait is over", async () => {
    const { clock, driver, locks } = scenario({}, { watch: true });
    driver.table.occupy("a");
    driver.watchReplies.push(async (stand) => {
      await clock.sleep(500);
      return stand();
    });
    const pending = locks.lock("a", { waitMs: 100 });
    expect(await errorOf(clock.until(pending))).toBeInstanceOf(LockTimeoutError);
    await clock.advance(1_000);
    expect(driver.table.watched).toBe(0);
  });
});

describe("the end of a wait", () => {
  test("comes after one last attempt at the deadline", async () => {
    const { clock, driver, locks } = scenario({ retry: fixedInterval(60_000) });
    const free = driver.table.occupy("a");
    const pending = locks.lock("a", { waitMs: 1_000 });
    await clock.advance(999);
    free();
    await clock.until(pending);
    expect(clock.now()).toBe(1_000);
    expect(driver.of("acquire").map((call) => call.at)).toEqual([0, 1_000]);
  });

  test("is a LockTimeoutError that names the holder and how long was waited", async () => {
    const { clock, driver, locks } = scenario();
    const timeouts = record(locks, "timeout");
    driver.table.occupy("a", 60_000, "somebody");
    const error = await errorOf(clock.until(locks.lock("a", { waitMs: 1_000 })));
    expect(error).toBeInstanceOf(LockTimeoutError);
    expect(error).toMatchObject({ code: "DLOCK_TIMEOUT", key: "a", holder: { owner: "somebody" } });
    expect((error as Error).message).toContain("somebody");
    expect(timeouts).toMatchObject([{ key: "a", waitedMs: 1_000, holder: { owner: "somebody" } }]);
    expect(clock.now()).toBe(1_000);
  });

  test("comes at once with waitMs: 0, as a LockNotAcquiredError", async () => {
    const { clock, driver, locks } = scenario();
    driver.table.occupy("a", 60_000, "somebody");
    const error = await errorOf(clock.until(locks.lock("a", { waitMs: 0 })));
    expect(error).toBeInstanceOf(LockNotAcquiredError);
    expect(error).toMatchObject({ code: "DLOCK_NOT_ACQUIRED", key: "a", holder: { owner: "somebody" } });
    expect(driver.of("acquire")).toHaveLength(1);
  });

  test("comes when retryCount retries are made, each retryDelayMs after the other", async () => {
    const { clock, driver, locks } = scenario();
    driver.table.occupy("a");
    const error = await errorOf(clock.until(locks.lock("a", { retryCount: 3, retryDelayMs: 1_000 })));
    expect(error).toBeInstanceOf(LockTimeoutError);
    expect(driver.of("acquire").map((call) => call.at)).toEqual([0, 1_000, 2_000, 3_000]);
  });

  test("comes after a single attempt with retryCount: 0", async () => {
    const { clock, driver, locks } = scenario();
    driver.table.occupy("a");
    expect(await errorOf(clock.until(locks.lock("a", { retryCount: 0 })))).toBeInstanceOf(LockTimeoutError);
    expect(driver.of("acquire")).toHaveLength(1);
    expect(clock.now()).toBe(0);
  });

  test("comes by retryCount also behind a holder of the same process", async () => {
    const { clock, locks } = scenario();
    await clock.until(locks.lock("a"));
    const error = await errorOf(clock.until(locks.lock("a", { retryCount: 2, retryDelayMs: 1_000 }), 60_000));
    expect(error).toBeInstanceOf(LockTimeoutError);
    expect(clock.now()).toBeLessThanOrEqual(2_000);
  });

  test("comes at once with retryCount: 0 behind a holder of the same process", async () => {
    const { clock, locks } = scenario();
    const lock = await clock.until(locks.lock("a"));
    const error = await errorOf(clock.until(locks.lock("a", { retryCount: 0 }), 60_000));
    expect(error).toBeInstanceOf(LockTimeoutError);
    expect(error).toMatchObject({ holder: { owner: expect.stringContaining(lock.owner.slice(0, -2)) } });
    expect(clock.now()).toBe(0);
  });

  test("comes by retryCount while somebody of the same process is still asking", async () => {
    const { clock, driver, locks } = scenario();
    driver.table.occupy("a");
    void watchPromise(locks.lock("a", { waitMs: 60_000 }));
    await clock.settle();
    expect(await errorOf(clock.until(locks.lock("a", { retryCount: 0 })))).toBeInstanceOf(LockTimeoutError);
    expect(clock.now()).toBe(0);
    expect(await errorOf(clock.until(locks.lock("a", { retryCount: 2, retryDelayMs: 300 })))).toBeInstanceOf(LockTimeoutError);
    expect(clock.now()).toBe(600);
  });

  test("gives the lock to one of two with retryCount: 0 that ask for a free key at once", async () => {
    const { clock, locks } = scenario();
    const timeouts = record(locks, "timeout");
    const [first, second] = await clock.until(Promise.allSettled([locks.lock("a", { retryCount: 0 }), locks.lock("a", { retryCount: 0 })]));
    expect(first).toMatchObject({ status: "fulfilled", value: { isHeld: true } });
    expect(second).toMatchObject({ status: "rejected", reason: { code: "DLOCK_TIMEOUT", holder: { remainingMs: 29_700 } } });
    expect(timeouts).toHaveLength(1);
  });

  test("rejects with what the user's own strategy throws or yields wrongly", async () => {
    const { clock, driver, locks } = scenario();
    driver.table.occupy("a");
    const thrown = new Error("my strategy");
    const throwing = {
      [Symbol.iterator]: () => ({
        next: () => {
          throw thrown;
        },
      }),
    };
    expect(await errorOf(clock.until(locks.lock("a", { retry: throwing })))).toBe(thrown);
    for (const wrong of [-1, Number.NaN, "5" as unknown as number]) {
      const error = await errorOf(clock.until(locks.lock("a", { retry: [wrong] })));
      expect(error).toBeInstanceOf(RangeError);
      expect((error as Error).message).toContain("retry");
    }
    expect(clock.pending).toBeLessThanOrEqual(1);
  });
});

describe("a backend that fails", () => {
  test("is tried again while it says that this may help, and its last error is thrown", async () => {
    const { clock, driver, locks } = scenario();
    driver.always("acquire", failing(driverError("connection refused", { applied: "no", retryable: true })));
    const error = await errorOf(clock.until(locks.lock("a", { waitMs: 1_000, retry: fixedInterval(400) })));
    expect(error).toBeInstanceOf(LockBackendError);
    expect(error).toMatchObject({ code: "DLOCK_BACKEND", key: "a", retryable: true });
    expect((error as Error).message).toContain("connection refused");
    expect(driver.of("acquire").map((call) => call.at)).toEqual([0, 400, 800, 1_000]);
  });

  test("is not tried again when that cannot help", async () => {
    const { clock, driver, locks } = scenario();
    driver.always("acquire", failing(driverError("wrong password", { applied: "no", retryable: false })));
    const error = await errorOf(clock.until(locks.lock("a", { waitMs: 60_000 })));
    expect(error).toMatchObject({ code: "DLOCK_BACKEND", retryable: false });
    expect(driver.of("acquire")).toHaveLength(1);
    expect(clock.now()).toBe(0);
  });

  test("that recovers in time costs the waiter nothing but time", async () => {
    const { clock, driver, locks } = scenario({ retry: fixedInterval(100) });
    driver.next("acquire", failing(new Error("ECONNRESET")), failing(new Error("ECONNRESET")));
    const lock = await clock.until(locks.lock("a"));
    expect(lock.isHeld).toBe(true);
    expect(driver.of("acquire")).toHaveLength(3);
  });
});
