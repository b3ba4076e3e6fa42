/** Letting go: what unlock reports, and what withLock and tryWithLock make of errors. */
import { describe, expect, test } from "vitest";
import { driverError, LockBackendError, LockLostError, LockNotAcquiredError } from "../src/index.ts";
import { errorOf, record, scenario, watchPromise } from "./support/scenario.ts";
import { failing, failingAfter, lost, silent, slow } from "./support/scripted-driver.ts";

const away = driverError("away", { applied: "no", retryable: true });

describe("unlock", () => {
  test("is idempotent: one release, the same answer", async () => {
    const { clock, driver, locks } = scenario();
    driver.always("release", slow(5, 5));
    const lock = await clock.until(locks.lock("a"));
    const answers = await clock.until(Promise.all([lock.unlock(), lock.unlock(), lock[Symbol.asyncDispose]()]));
    expect(answers).toEqual([true, true, undefined]);
    expect(await lock.unlock()).toBe(true);
    expect(driver.claimsOf("release")).toHaveLength(1);
    expect(locks.stats().unlockCount).toBe(1);
  });

  test("ends isHeld at once, before the server knows", async () => {
    const { clock, driver, locks } = scenario();
    driver.always("release", slow(5, 5));
    const lock = await clock.until(locks.lock("a"));
    const unlocking = lock.unlock();
    expect(lock.isHeld).toBe(false);
    expect(lock.remainingMs).toBe(0);
    await clock.until(unlocking);
  });

  test("reports true when the answer was lost and the second try finds nothing before the deadline", async () => {
    const { clock, driver, locks } = scenario({ attemptTimeoutMs: 1_000 });
    const lock = await clock.until(locks.lock("a"));
    driver.next("release", lost);
    expect(await clock.until(lock.unlock())).toBe(true);
    expect(driver.claimsOf("release")).toHaveLength(2);
  });

  test("reports false when the server says at once that there was nothing", async () => {
    const { clock, driver, locks } = scenario();
    const lock = await clock.until(locks.lock("a"));
    driver.table.drop("a");
    expect(await clock.until(lock.unlock())).toBe(false);
  });

  test("reports false after the deadline and sends nothing", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 1_000, autoRenew: false });
    const lock = await clock.until(locks.lock("a"));
    clock.jump(990); // No timer has run yet.
    expect(await lock.unlock()).toBe(false);
    expect(driver.of("release")).toHaveLength(0);
  });

  test("after the deadline gives back what renewals without an answer may have kept alive at the server", async () => {
    const { clock, driver, locks, another } = scenario({ ttlMs: 300_000 });
    const lock = await clock.until(locks.lock("a"));
    driver.always("extend", lost);
    await clock.advance(299_000);
    expect(lock.isHeld).toBe(false);
    // Its work may still be going on.
    expect(await clock.until(another().locks.tryLock("a"))).toBeUndefined();
    expect(await clock.until(lock.unlock())).toBe(false);
    await clock.advance(10);
    await clock.until(another().locks.withLock("a", { waitMs: 0 }, () => {}));
    await clock.advance(700_000);
    expect([driver.table.size, clock.pending]).toEqual([0, 0]);
  });

  test("after the deadline gives nothing back while another hold of the same lease goes on", async () => {
    const { clock, driver, locks, another } = scenario({ ttlMs: 300_000 });
    await clock.until(
      locks
        .withLock("a", async () => {
          const inner = await locks.lock("a", { reentrant: true });
          driver.always("extend", lost);
          await clock.sleep(299_000);
          expect(await inner.unlock()).toBe(false);
          await clock.sleep(10);
          expect(await another().locks.tryLock("a")).toBeUndefined();
        })
        .catch((error: { code: string }) => expect(error.code).toBe("DLOCK_LOST")),
    );
  });

  test("reports false when the second try finds nothing after the deadline", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 1_000, attemptTimeoutMs: 600 });
    const lock = await clock.until(locks.lock("a"));
    driver.next("release", silent, slow(500));
    expect(await clock.until(lock.unlock())).toBe(false);
  });

  test("rejects when no try is answered, and the release goes on in the background", async () => {
    const { clock, driver, locks } = scenario({ attemptTimeoutMs: 1_000 });
    const lock = await clock.until(locks.lock("a"));
    driver.next("release", silent, silent, silent, silent);
    const error = await errorOf(clock.until(lock.unlock()));
    expect(error).toBeInstanceOf(LockBackendError);
    expect(error).toMatchObject({ code: "DLOCK_BACKEND", key: "a" });
    expect(clock.now()).toBeLessThanOrEqual(2_000);
    expect(driver.table.size).toBe(1);
    await clock.advance(5_000);
    expect(driver.table.size).toBe(0);
    await clock.advance(60_000);
    expect(clock.pending).toBe(0);
  });

  test("tries once only when a second try cannot help", async () => {
    const { clock, driver, locks } = scenario();
    const lock = await clock.until(locks.lock("a"));
    driver.next("release", failing(driverError("no permission", { applied: "no", retryable: false })));
    expect(await errorOf(clock.until(lock.unlock()))).toMatchObject({ code: "DLOCK_BACKEND", retryable: false });
  });

  test("lets the next local waiter ask only when the server has answered", async () => {
    const { clock, driver, locks } = scenario({ handOff: false, waitMs: 60_000 });
    driver.always("release", slow(100, 100));
    const lock = await clock.until(locks.lock("a"));
    const next = watchPromise(locks.lock("a"));
    void lock.unlock();
    await clock.advance(199);
    expect(driver.of("acquire")).toHaveLength(1);
    await clock.advance(40);
    expect(next.state).toBe("resolved");
    expect(driver.of("acquire")).toHaveLength(2);
  });

  test("by name frees a lease wherever it was taken, with its token", async () => {
    const { clock, driver, locks, another } = scenario();
    const there = another().locks;
    await clock.until(there.lock("a", { owner: "worker" }));
    expect(await clock.until(locks.unlock("a", "someone"))).toBe(false);
    expect(await clock.until(locks.unlock("a", "worker"))).toBe(true);
    expect(driver.claimsOf("release")).toEqual([{ key: "a", owner: "worker", token: 1n }]);
    expect(driver.table.size).toBe(0);
  });

  test("by name ends the handle of this process", async () => {
    const { clock, driver, locks } = scenario();
    const lock = await clock.until(locks.lock("a"));
    expect(await clock.until(locks.unlock("a", lock.owner))).toBe(true);
    expect(lock.isHeld).toBe(false);
    expect(driver.table.size).toBe(0);
  });
});

describe("withLock", () => {
  test("runs the body while the lock is held, gives its value back, and releases", async () => {
    const { clock, driver, locks } = scenario();
    const value = await clock.until(
      locks.withLock("a", { ttlMs: 5_000 }, async (lock) => {
        expect(lock.isHeld).toBe(true);
        await clock.sleep(20_000);
        expect(lock.isHeld).toBe(true);
        return 42;
      }),
    );
    expect(value).toBe(42);
    expect(driver.table.size).toBe(0);
  });

  test("throws the body's error as it is, and releases", async () => {
    const { clock, driver, locks } = scenario();
    const mine = new Error("mine");
    expect(await errorOf(clock.until(locks.withLock("a", () => Promise.reject(mine))))).toBe(mine);
    const sync = () => {
      throw mine;
    };
    expect(await errorOf(clock.until(locks.withLock("a", sync)))).toBe(mine);
    expect("suppressed" in mine).toBe(false);
    expect(driver.table.size).toBe(0);
  });

  test("adds the release's error to the body's as suppressed", async () => {
    const { clock, driver, locks } = scenario();
    const errors = record(locks, "error");
    driver.always("release", failing(away));
    const mine = new Error("mine");
    expect(await errorOf(clock.until(locks.withLock("a", () => Promise.reject(mine))))).toBe(mine);
    expect((mine as { suppressed?: unknown }).suppressed).toBeInstanceOf(LockBackendError);
    expect(errors).toMatchObject([{ doing: "release", key: "a" }]);
  });

  test("throws what the body throws even when nothing can be added to it", async () => {
    const { clock, driver, locks } = scenario();
    driver.always("release", failing(away));
    for (const thrown of ["text", undefined, Object.freeze(new Error("frozen"))])
      expect(await errorOf(clock.until(locks.withLock(`key ${thrown}`, () => Promise.reject(thrown))))).toBe(thrown);
  });

  test("keeps the value when only the release fails, and tells it as an event", async () => {
    const { clock, driver, locks } = scenario();
    const errors = record(locks, "error");
    driver.always("release", failing(away));
    expect(await clock.until(locks.withLock("a", () => "value"))).toBe("value");
    expect(errors).toMatchObject([{ doing: "release", key: "a", error: { code: "DLOCK_BACKEND" } }]);
  });

  test("rejects with LockLostError, and the value, when the lock was lost while the body ran to its end", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 1_000 });
    driver.always("extend", silent);
    const error = await errorOf(
      clock.until(
        locks.withLock("a", async (lock) => {
          await clock.sleep(2_000);
          expect(lock.signal.aborted).toBe(true);
          return "late";
        }),
      ),
    );
    expect(error).toBeInstanceOf(LockLostError);
    expect(error).toMatchObject({ code: "DLOCK_LOST", key: "a", reason: "expired", value: "late" });
  });

  test("rejects with LockLostError when only a clock read can know of the loss", async () => {
    const { clock, locks } = scenario({ ttlMs: 1_000 });
    const error = await errorOf(
      clock.until(
        locks.withLock("a", () => {
          clock.jump(990);
          return "blocked";
        }),
      ),
    );
    expect(error).toMatchObject({ code: "DLOCK_LOST", reason: "expired", value: "blocked" });
  });

  test("rejects with LockLostError when the release finds that the lease was gone", async () => {
    const { clock, driver, locks } = scenario();
    const error = await errorOf(
      clock.until(
        locks.withLock("a", () => {
          driver.table.drop("a");
          return "unprotected";
        }),
      ),
    );
    expect(error).toMatchObject({ code: "DLOCK_LOST", reason: "refused", value: "unprotected" });
  });

  test("throws the body's error even when the lock was lost", async () => {
    const { clock, locks } = scenario({ ttlMs: 1_000, autoRenew: false });
    const mine = new Error("mine");
    const body = async () => {
      await clock.sleep(2_000);
      throw mine;
    };
    expect(await errorOf(clock.until(locks.withLock("a", body)))).toBe(mine);
  });

  test("lets the body unlock early", async () => {
    const { clock, driver, locks } = scenario();
    expect(await clock.until(locks.withLock("a", async (lock) => lock.unlock()))).toBe(true);
    expect(driver.claimsOf("release")).toHaveLength(1);
  });

  test("does not run the body without the lock", async () => {
    const { clock, driver, locks } = scenario();
    driver.table.occupy("a");
    let ran = false;
    const body = () => {
      ran = true;
    };
    expect(await errorOf(clock.until(locks.withLock("a", { waitMs: 0 }, body)))).toBeInstanceOf(LockNotAcquiredError);
    expect(await clock.until(locks.tryWithLock("a", body))).toMatchObject({ acquired: false, holder: { owner: "other-0" } });
    expect(ran).toBe(false);
  });

  test("wants a function", async () => {
    const { locks } = scenario();
    expect(await errorOf(locks.withLock("a", "no" as never))).toBeInstanceOf(TypeError);
    expect(await errorOf(locks.tryWithLock("a", {}, undefined as never))).toBeInstanceOf(TypeError);
  });
});

describe("tryWithLock", () => {
  test("gives the value back when the key was free", async () => {
    const { clock, driver, locks } = scenario();
    expect(await clock.until(locks.tryWithLock("a", { ttlMs: 5_000 }, () => undefined))).toEqual({ acquired: true, value: undefined });
    expect(driver.table.size).toBe(0);
  });

  test("follows withLock in its errors", async () => {
    const { clock, driver, locks } = scenario();
    driver.always("release", failingAfter(away));
    const mine = new Error("mine");
    expect(await errorOf(clock.until(locks.tryWithLock("a", () => Promise.reject(mine))))).toBe(mine);
    expect(await clock.until(locks.tryWithLock("b", () => "kept"))).toEqual({ acquired: true, value: "kept" });
  });
});
