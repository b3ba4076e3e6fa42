/** Losing a lock: known in time without any reply, told once, and final. */
import { describe, expect, test } from "vitest";
import { LockLostError, LockNotHeldError } from "../src/index.ts";
import { errorOf, record, scenario } from "./support/scenario.ts";
import { answeringEach, failing, silent, slow } from "./support/scripted-driver.ts";

describe("the local deadline", () => {
  test("counts from before the claim was sent, less one hundredth", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 10_000, autoRenew: false });
    driver.next("acquire", slow(1_000, 2_000));
    const lock = await clock.until(locks.lock("a"));
    expect(clock.now()).toBe(3_000);
    expect(lock.remainingMs).toBe(6_900);
  });

  test("is 2 ms less than the TTL at least", async () => {
    const { clock, locks } = scenario();
    const lock = await clock.until(locks.lock("a", { ttlMs: 100 }));
    expect(lock.remainingMs).toBe(98);
  });

  test("follows the TTL really granted", async () => {
    const { clock, driver, locks } = scenario();
    driver.next("acquire", answeringEach({ acquired: true, token: 1n, ttlMs: 2_000 }));
    const lock = await clock.until(locks.lock("a", { ttlMs: 1_500 }));
    expect(lock.remainingMs).toBe(1_980);
  });

  test("loses the lock without any reply: at-risk first, then the signal, the event and every read", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 3_000 });
    const told: string[] = [];
    locks.on("at-risk", () => told.push("at-risk"));
    locks.on("lost", ({ reason }) => told.push(reason));
    const lock = await clock.until(locks.lock("a"));
    lock.signal.addEventListener("abort", () => told.push("signal"));
    driver.always("extend", silent);
    await clock.advance(2_969);
    expect(lock.isHeld).toBe(true);
    expect(told).toEqual(["at-risk"]);
    await clock.advance(1);
    expect(lock.isHeld).toBe(false);
    expect(lock.remainingMs).toBe(0);
    expect(lock.signal.reason).toBeInstanceOf(LockLostError);
    expect(lock.signal.reason).toMatchObject({ reason: "expired", key: "a" });
    expect([...told].sort()).toEqual(["at-risk", "expired", "signal"]);
    expect(locks.stats()).toMatchObject({ active: 0, lost: 1, expired: 1 });
    await clock.advance(60_000);
    expect(told).toHaveLength(3);
  });

  test("says at-risk first also when the attempt's time limit is longer than the TTL", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 3_000, attemptTimeoutMs: 10_000 });
    const atRisk = record(locks, "at-risk");
    const lost = record(locks, "lost");
    const lock = await clock.until(locks.lock("a"));
    driver.always("extend", silent);
    await clock.advance(2_900);
    expect(lock.isHeld).toBe(true);
    expect(atRisk).toHaveLength(1);
    await clock.advance(100);
    expect(lost).toHaveLength(1);
  });

  test("decides in the synchronous code directly after a blocked event loop, before any timer", async () => {
    const { clock, locks } = scenario({ ttlMs: 3_000 });
    const lock = await clock.until(locks.lock("a"));
    const { signal } = lock;
    clock.jump(2_969);
    expect(lock.isHeld).toBe(true);
    clock.jump(1);
    expect(lock.isHeld).toBe(false);
    expect(lock.remainingMs).toBe(0);
    expect(signal.aborted).toBe(false); // Only a turn of the loop can do that.
    await clock.advance(0);
    expect(signal.aborted).toBe(true);
  });

  test("is final: a renewal whose good answer is read after it brings nothing back", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 3_000 });
    const lost = record(locks, "lost");
    const renewed = record(locks, "renewed");
    const lock = await clock.until(locks.lock("a"));
    let answer: (outcomes: boolean[]) => void = () => {};
    driver.next("extend", (serve) => {
      serve();
      return new Promise((resolve) => {
        answer = resolve;
      });
    });
    await clock.advance(1_100); // Renewed on the server, the answer is in the socket.
    clock.jump(2_000); // The loop is blocked beyond the deadline.
    expect(lock.isHeld).toBe(false);
    answer([true]);
    await clock.settle(); // The answer is read before any timer runs.
    expect(lock.isHeld).toBe(false);
    await clock.advance(1);
    expect(lock.isHeld).toBe(false);
    expect(lost).toMatchObject([{ reason: "expired" }]);
    expect(renewed).toHaveLength(0);
  });

  test("is final for refresh too, which then throws", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 3_000, autoRenew: false });
    const lock = await clock.until(locks.lock("a"));
    let answer: (outcomes: boolean[]) => void = () => {};
    driver.next("extend", (serve) => {
      serve();
      return new Promise((resolve) => {
        answer = resolve;
      });
    });
    const refreshing = errorOf(lock.refresh());
    await clock.settle();
    clock.jump(2_990);
    answer([true]);
    expect(await refreshing).toBeInstanceOf(LockNotHeldError);
    expect(lock.isHeld).toBe(false);
  });

  test("is final for a renewal by name", async () => {
    const { clock, locks } = scenario({ ttlMs: 3_000, autoRenew: false });
    const lock = await clock.until(locks.lock("a"));
    clock.jump(2_980); // Lost here, and still live on the server.
    expect(lock.isHeld).toBe(false);
    const renewing = locks.renew("a", lock.owner, 60_000).catch(() => {});
    await clock.until(renewing);
    expect(lock.isHeld).toBe(false);
    await clock.advance(1_000);
    expect(lock.isHeld).toBe(false);
  });
});

describe("a lock that is lost", () => {
  test("throws LockNotHeldError at refresh, and reports false at unlock", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 1_000, autoRenew: false });
    const lock = await clock.until(locks.lock("a"));
    await clock.advance(990);
    expect(await errorOf(lock.refresh())).toBeInstanceOf(LockNotHeldError);
    expect(await errorOf(lock.refresh())).toMatchObject({ code: "DLOCK_NOT_HELD", key: "a" });
    expect(await lock.unlock()).toBe(false);
    expect(await lock.unlock()).toBe(false);
    expect(driver.of("extend")).toHaveLength(0);
  });

  test("never comes back to life when the server still knows it or the same key is locked again", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 1_000, autoRenew: false });
    const lock = await clock.until(locks.lock("a"));
    await clock.advance(991);
    const again = await clock.until(locks.lock("a"));
    expect(again.token).toBeGreaterThan(lock.token);
    expect(lock.isHeld).toBe(false);
    expect(await clock.until(lock.unlock())).toBe(false);
    expect(again.isHeld).toBe(true);
    expect(driver.table.holders("a")).toHaveLength(1);
  });

  test("says so to a signal that is first asked for afterwards", async () => {
    const { clock, locks } = scenario({ ttlMs: 1_000, autoRenew: false });
    const lock = await clock.until(locks.lock("a"));
    await clock.advance(1_000);
    expect(lock.signal.aborted).toBe(true);
    expect(lock.signal.reason).toMatchObject({ reason: "expired" });
  });

  test("does not abort the signal of one that was released", async () => {
    const { clock, locks } = scenario({ ttlMs: 1_000 });
    const lock = await clock.until(locks.lock("a"));
    const { signal } = lock;
    await clock.until(lock.unlock());
    await clock.advance(10_000);
    expect(signal.aborted).toBe(false);
  });
});

describe("a server that says the lease is gone", () => {
  test("loses the lock at the next renewal, with reason refused", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 3_000 });
    const lost = record(locks, "lost");
    const lock = await clock.until(locks.lock("a"));
    driver.table.drop("a");
    await clock.advance(1_100);
    expect(lock.isHeld).toBe(false);
    expect(lost).toMatchObject([{ key: "a", owner: lock.owner, token: String(lock.token), reason: "refused" }]);
    expect(locks.stats()).toMatchObject({ lost: 1, expired: 0 });
  });

  test("loses the lock at refresh, which throws", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 3_000 });
    const lock = await clock.until(locks.lock("a"));
    driver.table.drop("a");
    expect(await errorOf(clock.until(lock.refresh()))).toBeInstanceOf(LockNotHeldError);
    expect(lock.signal.reason).toMatchObject({ reason: "refused" });
  });

  test("lets the waiters of this process try at once", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 3_000, waitMs: 60_000 });
    await clock.until(locks.lock("a"));
    const waiting = locks.lock("a");
    driver.table.drop("a");
    const lock = await clock.until(waiting);
    expect(clock.now()).toBeLessThan(1_100);
    expect(lock.isHeld).toBe(true);
  });
});

describe("errors of renewal", () => {
  test("end nothing before the deadline, whatever they are", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 30_000 });
    const lock = await clock.until(locks.lock("a"));
    driver.always("extend", failing("not even an error"));
    await clock.advance(29_699);
    expect(lock.isHeld).toBe(true);
    await clock.advance(1);
    expect(lock.isHeld).toBe(false);
  });
});
