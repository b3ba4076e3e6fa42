/** Renewal: in batches, in time, never after the release began, never shortening, and not for ever. */
import { describe, expect, test } from "vitest";
import { driverError, LockLostError } from "../src/index.ts";
import { errorOf, record, scenario, watchPromise } from "./support/scenario.ts";
import { failing, late, lost, silent, slow } from "./support/scripted-driver.ts";

describe("the renewer", () => {
  test("keeps a lock for as long as it is held, at about a third of its TTL", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 30_000 });
    const lock = await clock.until(locks.lock("a"));
    await clock.advance(600_000);
    expect(lock.isHeld).toBe(true);
    expect(lock.remainingMs).toBeGreaterThan(18_000);
    expect(driver.of("extend").length).toBeGreaterThanOrEqual(60);
    expect(driver.of("extend").length).toBeLessThanOrEqual(70);
    const token = lock.token >> 10n;
    expect(driver.claimsOf("extend")[0]).toMatchObject({ key: "a", token, ttlMs: 30_000, longestMs: 30_000 });
    await clock.until(lock.unlock());
    const renewals = driver.of("extend").length;
    await clock.advance(60_000);
    expect(driver.of("extend")).toHaveLength(renewals);
    expect(clock.pending).toBe(0);
  });

  test("renews what is due together in one call", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 30_000 });
    for (let index = 0; index < 500; index++) {
      await clock.until(locks.lock(`key ${index}`));
      await clock.advance(20);
    }
    driver.calls.length = 0;
    await clock.advance(30_000);
    expect(driver.claimsOf("extend").length).toBeGreaterThanOrEqual(1_500);
    expect(driver.of("extend").length).toBeLessThanOrEqual(40);
  });

  test("sets few timers for many leases, also when it comes late to them", async () => {
    const { clock, locks } = scenario({ ttlMs: 3_000 });
    const held = await clock.until(Promise.all(Array.from({ length: 2_000 }, (_, index) => locks.lock(`key ${index}`))));
    let timers = 0;
    const { setTimer } = clock;
    clock.setTimer = (...timer) => {
      timers++;
      return setTimer.apply(clock, timer);
    };
    clock.jump(1_200);
    await clock.advance(100);
    expect(locks.stats().refreshCount).toBe(held.length);
    expect(timers).toBeLessThan(20);
  });

  test("does nothing with autoRenew: false", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 30_000, autoRenew: false });
    const lock = await clock.until(locks.lock("a"));
    await clock.advance(29_699);
    expect(lock.isHeld).toBe(true);
    await clock.advance(1);
    expect(lock.isHeld).toBe(false);
    expect(driver.of("extend")).toHaveLength(0);
  });

  test("retries inside the remaining time, says at-risk once, and the lock goes on", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 30_000 });
    const atRisk = record(locks, "at-risk");
    const lost_ = record(locks, "lost");
    const lock = await clock.until(locks.lock("a"));
    driver.next("extend", ...Array(5).fill(failing(driverError("busy", { applied: "no", retryable: true }))));
    await clock.advance(60_000);
    expect(lock.isHeld).toBe(true);
    expect(atRisk).toMatchObject([{ key: "a", cause: { message: "busy" } }]);
    expect(atRisk[0]?.remainingMs).toBeGreaterThan(15_000);
    expect(lost_).toHaveLength(0);
  });

  test("retries also when answers are lost, whatever the attempt's time limit", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 3_000, attemptTimeoutMs: 10_000 });
    const lock = await clock.until(locks.lock("a"));
    driver.next("extend", silent);
    await clock.advance(20_000);
    expect(lock.isHeld).toBe(true);
  });

  test("renews locks of days, and one of the longest TTL", async () => {
    const { clock, driver, locks } = scenario();
    const days = await clock.until(locks.lock("days", { ttlMs: 5 * 86_400_000 }));
    const longest = await clock.until(locks.lock("longest", { ttlMs: 2 ** 31 - 1 }));
    for (let day = 0; day < 30; day++) {
      clock.jump(86_399_000);
      await clock.advance(1_000);
    }
    expect(days.isHeld).toBe(true);
    expect(longest.isHeld).toBe(true);
    expect(driver.claimsOf("extend").filter((claim) => claim.key === "days").length).toBeGreaterThanOrEqual(15);
    expect(driver.claimsOf("extend").filter((claim) => claim.key === "longest").length).toBeGreaterThanOrEqual(3);
    expect(driver.calls.length).toBeLessThan(50);
  });

  test("stops when nobody holds anything, and keeps no process alive meanwhile", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 3_000 });
    const lock = await clock.until(locks.lock("a"));
    expect(clock.vital).toBe(0);
    driver.always("extend", slow(100, 100));
    await clock.advance(1_010);
    expect(clock.vital).toBe(1); // The scripted driver's own delay.
    await clock.advance(200);
    expect(clock.vital).toBe(0);
    await clock.until(lock.unlock());
    await clock.advance(5_000);
    expect(clock.pending).toBe(0);
  });
});

describe("release and renewal", () => {
  test("nothing is sent for a lock after its release began, even with a renewal in flight", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 3_000 });
    const lock = await clock.until(locks.lock("a"));
    driver.next("extend", slow(0, 500));
    driver.always("release", slow(2_000, 2_000));
    await clock.advance(1_000);
    expect(driver.of("extend")).toHaveLength(1);
    const unlocking = watchPromise(lock.unlock());
    await clock.advance(10_000);
    expect(driver.of("extend")).toHaveLength(1);
    expect(unlocking.state).not.toBe("pending");
    expect(locks.stats().refreshCount).toBe(0);
  });

  test("a renewal that fails after the release began is not tried again and puts nothing at risk", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 3_000 });
    const atRisk = record(locks, "at-risk");
    const lock = await clock.until(locks.lock("a"));
    driver.always("extend", silent);
    await clock.advance(1_100);
    await clock.until(lock.unlock());
    await clock.advance(10_000);
    expect(driver.of("extend")).toHaveLength(1);
    expect(atRisk).toHaveLength(0);
  });

  test("refresh after the release began throws and sends nothing", async () => {
    const { clock, driver, locks } = scenario();
    const lock = await clock.until(locks.lock("a"));
    driver.always("release", slow(50, 50));
    const unlocking = lock.unlock();
    expect(await errorOf(clock.until(lock.refresh()))).toMatchObject({ code: "DLOCK_NOT_HELD" });
    await clock.until(unlocking);
    expect(driver.of("extend")).toHaveLength(0);
  });
});

describe("refresh", () => {
  test("renews now, for the lock's own TTL", async () => {
    const { clock, locks } = scenario({ ttlMs: 10_000, autoRenew: false });
    const lock = await clock.until(locks.lock("a"));
    await clock.advance(5_000);
    expect(lock.remainingMs).toBe(4_900);
    await clock.until(lock.refresh());
    expect(lock.remainingMs).toBe(9_900);
  });

  test("counts from before it was sent", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 10_000, autoRenew: false });
    const lock = await clock.until(locks.lock("a"));
    driver.next("extend", slow(1_000, 1_000));
    await clock.advance(5_000);
    await clock.until(lock.refresh());
    expect(clock.now()).toBe(7_000);
    expect(lock.remainingMs).toBe(7_900);
  });

  test("to a longer TTL is not shortened by later renewals", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 3_000 });
    const lock = await clock.until(locks.lock("a"));
    await clock.until(lock.refresh(60_000));
    for (let second = 0; second < 55; second++) {
      await clock.advance(1_000);
      expect(driver.table.holders("a")[0]?.remainingMs).toBeGreaterThanOrEqual(lock.remainingMs);
      expect(lock.remainingMs).toBeGreaterThanOrEqual(Math.min(2_000, 59_000 - second * 1_000));
    }
    await clock.advance(120_000);
    expect(lock.isHeld).toBe(true);
  });

  test("to a longer TTL is not shortened by an older renewal that arrives after it", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 3_000 });
    const lock = await clock.until(locks.lock("a"));
    driver.next("extend", slow(900));
    await clock.advance(1_050); // A renewal is on its way.
    expect(driver.of("extend")).toHaveLength(1);
    await clock.until(lock.refresh(60_000));
    driver.always("extend", failing(driverError("away", { applied: "no", retryable: true })));
    while (lock.isHeld) {
      expect(driver.table.holders("a")[0]?.remainingMs ?? 0).toBeGreaterThanOrEqual(lock.remainingMs);
      await clock.advance(500);
    }
    expect(clock.now()).toBeGreaterThan(50_000);
  });

  test("to a longer TTL is not shortened by a renewal that falls due while it is on its way", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 3_000 });
    const lock = await clock.until(locks.lock("a"));
    await clock.advance(950);
    driver.next("extend", slow(0, 200));
    await clock.until(lock.refresh(60_000)); // Meanwhile the renewal of the first second is due, and follows at once.
    await clock.advance(100);
    expect(driver.claimsOf("extend").map(({ longestMs }) => longestMs)).toEqual([60_000, 60_000]);
    expect(driver.table.holders("a")[0]?.remainingMs ?? 0).toBeGreaterThanOrEqual(lock.remainingMs);
  });

  test("to a longer TTL outlives an older renewal whose answer is lost and that arrives late", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 3_000 });
    const lock = await clock.until(locks.lock("a"));
    driver.next("extend", late(1_500));
    await clock.advance(1_050);
    await clock.until(lock.refresh(60_000));
    for (let second = 0; second < 59; second++) {
      await clock.advance(1_000);
      expect(lock.isHeld).toBe(true);
      expect(driver.table.holders("a")).toHaveLength(1);
    }
  });

  test("to a shorter TTL shortens nothing", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 30_000, autoRenew: false });
    const lock = await clock.until(locks.lock("a"));
    await clock.until(lock.refresh(1_000));
    expect(lock.remainingMs).toBe(29_700);
    expect(driver.table.holders("a")[0]?.remainingMs).toBe(30_000);
  });

  test("rejects when the server gives no answer, and the lock is held until its deadline", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 10_000, autoRenew: false });
    const lock = await clock.until(locks.lock("a"));
    driver.next("extend", lost);
    expect(await errorOf(clock.until(lock.refresh()))).toMatchObject({ code: "DLOCK_BACKEND", key: "a" });
    expect(lock.isHeld).toBe(true);
    await clock.advance(9_900 - clock.now());
    expect(lock.isHeld).toBe(false);
  });
});

describe("maxHoldMs", () => {
  test("gives the lock up, tells it, and frees the key", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 3_000 });
    const lostEvents = record(locks, "lost");
    const lock = await clock.until(locks.lock("a", { maxHoldMs: 10_000 }));
    const { signal } = lock;
    await clock.advance(9_999);
    expect(lock.isHeld).toBe(true);
    expect(lock.remainingMs).toBe(1);
    await clock.advance(1);
    expect(lock.isHeld).toBe(false);
    expect(signal.reason).toBeInstanceOf(LockLostError);
    expect(signal.reason).toMatchObject({ code: "DLOCK_LOST", reason: "max-hold", key: "a" });
    expect(lostEvents).toMatchObject([{ key: "a", reason: "max-hold" }]);
    expect(driver.table.size).toBe(0);
    expect(await clock.until(lock.unlock())).toBe(false);
  });

  test("is the reason also when only a clock read can know it", async () => {
    const { clock, locks } = scenario({ ttlMs: 60_000 });
    const lock = await clock.until(locks.lock("a", { maxHoldMs: 1_000 }));
    clock.jump(1_000);
    expect(lock.isHeld).toBe(false);
    expect(await clock.until(lock.unlock())).toBe(false);
    const body = locks.withLock("b", { maxHoldMs: 1_000 }, () => clock.jump(2_000));
    expect(await errorOf(clock.until(body))).toMatchObject({ code: "DLOCK_LOST", reason: "max-hold" });
  });

  test("counts anew for the one who gets the lease by hand-off", async () => {
    const { clock, locks } = scenario({ handOff: { maxMs: 5_000 } });
    const first = await clock.until(locks.lock("a", { maxHoldMs: 1_000 }));
    const waiting = locks.lock("a", { maxHoldMs: 1_000 });
    await clock.advance(800);
    await clock.until(first.unlock());
    const second = await clock.until(waiting);
    expect(locks.stats().handOffs).toBe(1);
    await clock.advance(900);
    expect(second.isHeld).toBe(true);
    await clock.advance(100);
    expect(second.isHeld).toBe(false);
  });
});

describe("autoRefresh", () => {
  test("renews in its rhythm and resolves at unlock", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 30_000, autoRenew: false });
    const lock = await clock.until(locks.lock("a"));
    const ended = watchPromise(lock.autoRefresh({ intervalMs: 2_000, timeoutMs: 500 }));
    await clock.advance(20_100);
    expect(driver.of("extend").length).toBe(10);
    expect(driver.of("extend").every((call) => call.timeoutMs <= 500)).toBe(true);
    expect(ended.state).toBe("pending");
    await clock.until(lock.unlock());
    expect(ended.state).toBe("resolved");
    await clock.advance(20_000);
    expect(driver.of("extend").length).toBe(10);
  });

  test("rejects with the loss", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 3_000 });
    const lock = await clock.until(locks.lock("a"));
    const ended = watchPromise(lock.autoRefresh());
    driver.always("extend", silent);
    await clock.advance(3_000);
    expect(ended.error).toBeInstanceOf(LockLostError);
    expect(ended.error).toMatchObject({ reason: "expired" });
  });

  test("ends with maxHoldMs from now", async () => {
    const { clock, locks } = scenario();
    const lock = await clock.until(locks.lock("a"));
    await clock.advance(5_000);
    const ended = watchPromise(lock.autoRefresh({ maxHoldMs: 20_000 }));
    await clock.advance(19_999);
    expect(ended.state).toBe("pending");
    await clock.advance(1);
    expect(ended.error).toMatchObject({ reason: "max-hold" });
  });

  test("of a lock that is not held rejects", async () => {
    const { clock, locks } = scenario();
    const lock = await clock.until(locks.lock("a"));
    await clock.until(lock.unlock());
    expect(await errorOf(lock.autoRefresh())).toMatchObject({ code: "DLOCK_NOT_HELD" });
  });

  test("warns when its interval is not below the TTL", async () => {
    const lines: string[] = [];
    const note = (_: unknown, message: string) => lines.push(message);
    const logger = { debug: () => {}, info: () => {}, warn: note, error: () => {} };
    const { clock, locks } = scenario({ ttlMs: 1_000, logger });
    const lock = await clock.until(locks.lock("a"));
    void lock.autoRefresh({ intervalMs: 1_000 });
    await clock.settle();
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain("interval");
  });
});

describe("renewing by name", () => {
  test("renews the lease of an owner wherever it was taken", async () => {
    const { clock, driver, locks, another } = scenario({ ttlMs: 10_000 });
    const lock = await clock.until(another().locks.lock("a", { owner: "worker", autoRenew: false }));
    await clock.advance(5_000);
    await clock.until(locks.renew("a", "worker", 20_000));
    expect(driver.table.holders("a")[0]?.remainingMs).toBe(20_000);
    expect(lock.isHeld).toBe(true);
    expect(await errorOf(clock.until(locks.renew("a", "nobody", 20_000)))).toMatchObject({ code: "DLOCK_NOT_HELD" });
    expect(await errorOf(clock.until(locks.renew("b", "worker", 20_000)))).toMatchObject({ code: "DLOCK_NOT_HELD" });
  });

  test("for a shorter time shortens nothing that its holder was promised, neither once nor in a rhythm", async () => {
    const { clock, driver, locks, another } = scenario();
    const lock = await clock.until(another().locks.lock("a", { ttlMs: 300_000, autoRenew: false }));
    const owner = (await clock.until(locks.inspect("a")))[0]?.owner as string;
    await clock.until(locks.renew("a", owner, 10_000));
    expect(driver.table.holders("a")[0]?.remainingMs).toBe(300_000);
    const controller = new AbortController();
    const renewing = locks.autoRenew("a", owner, { signal: controller.signal });
    await clock.advance(15_000);
    controller.abort();
    await renewing;
    await clock.advance(200_000);
    expect(lock.isHeld).toBe(true);
    expect(await clock.until(locks.tryLock("a"))).toBeUndefined();
  });
});
