/** `autoRenew(key, owner)`: a lease known by name only is renewed in a rhythm until the signal, its loss, or a TTL without any success. */
import { describe, expect, test } from "vitest";
import { driverError, LockBackendError, LockNotHeldError } from "../src/index.ts";
import { errorOf, scenario, watchPromise } from "./support/scenario.ts";
import { failing, honest, silent, slow } from "./support/scripted-driver.ts";

const away = driverError("the server is away", { applied: "unknown", retryable: true });
const broken = driverError("the password is wrong", { applied: "no", retryable: false });

describe("autoRenew", () => {
  test("renews at a third of the TTL for as long as it runs, and stops when the signal aborts", async () => {
    const { clock, driver, locks } = scenario();
    driver.table.occupy("a", 30_000, "me");
    const controller = new AbortController();
    const renewing = watchPromise(locks.autoRenew("a", "me", { signal: controller.signal }));
    await clock.advance(95_000);
    expect(driver.of("extend").map(({ at }) => at)).toEqual([0, 10_000, 20_000, 30_000, 40_000, 50_000, 60_000, 70_000, 80_000, 90_000]);
    expect(renewing.state).toBe("pending");
    expect(clock.vital).toBe(0);
    controller.abort();
    await clock.settle();
    expect(renewing).toMatchObject({ state: "resolved", value: undefined });
    await clock.advance(31_000);
    expect(driver.of("extend")).toHaveLength(10);
    expect(driver.table.size).toBe(0);
    expect(clock.pending).toBe(0);
  });

  test("takes its own rhythm and TTL", async () => {
    const { clock, driver, locks } = scenario();
    driver.table.occupy("a", 500, "me");
    void watchPromise(locks.autoRenew("a", "me", { intervalMs: 400, ttlMs: 2_000 }));
    await clock.advance(1_000);
    expect(driver.claimsOf("extend").map(({ ttlMs }) => ttlMs)).toEqual([2_000, 2_000, 2_000]);
    expect(driver.of("extend").map(({ at }) => at)).toEqual([0, 400, 800]);
  });

  test("renews a lock of this process by its owner, and stops with it", async () => {
    const { clock, locks } = scenario({ ttlMs: 3_000, autoRenew: false });
    const lock = await clock.until(locks.lock("a"));
    const renewing = watchPromise(locks.autoRenew("a", lock.owner));
    await clock.advance(10_000);
    expect(lock.isHeld).toBe(true);
    await clock.until(lock.unlock());
    await clock.advance(1_000);
    expect(renewing.state).toBe("rejected");
    expect(renewing.error).toBeInstanceOf(LockNotHeldError);
  });

  test("rejects at the next renewal when the lease is gone or another's", async () => {
    const { clock, driver, locks } = scenario();
    driver.table.occupy("a", 30_000, "me");
    const renewing = errorOf(locks.autoRenew("a", "me"));
    await clock.advance(5_000);
    driver.table.drop("a");
    driver.table.occupy("a", 30_000, "another");
    expect(await clock.until(renewing)).toBeInstanceOf(LockNotHeldError);
    expect(clock.now()).toBe(10_000);
    expect(driver.table.holders("a")).toMatchObject([{ owner: "another", remainingMs: 25_000 }]);
  });

  test("outlasts a backend that is away for less than the TTL", async () => {
    const { clock, driver, locks } = scenario();
    driver.table.occupy("a", 30_000, "me");
    const renewing = watchPromise(locks.autoRenew("a", "me"));
    await clock.advance(9_000);
    driver.always("inspect", failing(away));
    await clock.advance(19_000);
    driver.always("inspect", honest);
    await clock.advance(60_000);
    expect(renewing.state).toBe("pending");
    expect(driver.table.holders("a")).toHaveLength(1);
  });

  test("rejects with the backend's error when none has succeeded for a whole TTL", async () => {
    const { clock, driver, locks } = scenario();
    driver.table.occupy("a", 3_600_000, "me");
    const renewing = errorOf(locks.autoRenew("a", "me", { ttlMs: 30_500, intervalMs: 25_000 }));
    await clock.advance(1_000);
    driver.always("inspect", failing(away));
    const error = await clock.until(renewing);
    expect(error).toBeInstanceOf(LockBackendError);
    expect(error).toMatchObject({ cause: away });
    expect(clock.now()).toBe(30_500);
  });

  test("rejects within the TTL and one attempt when the backend falls silent", async () => {
    const { clock, driver, locks } = scenario({ attemptTimeoutMs: 1_000 });
    driver.table.occupy("a", 3_600_000, "me");
    driver.always("inspect", silent);
    expect(await errorOf(clock.until(locks.autoRenew("a", "me", { ttlMs: 6_000 })))).toBeInstanceOf(LockBackendError);
    expect(clock.now()).toBeGreaterThanOrEqual(6_000);
    expect(clock.now()).toBeLessThanOrEqual(7_000);
  });

  test("rejects at once with an error that time does not mend", async () => {
    const { clock, driver, locks } = scenario();
    driver.always("inspect", failing(broken));
    expect(await errorOf(clock.until(locks.autoRenew("a", "me")))).toMatchObject({ code: "DLOCK_BACKEND", cause: broken });
    expect(clock.now()).toBe(0);
  });

  test("resolves when the signal aborts during a renewal, whatever becomes of that", async () => {
    const { clock, driver, locks } = scenario();
    const controller = new AbortController();
    driver.always("inspect", slow(100));
    const renewing = watchPromise(locks.autoRenew("a", "nobody", { signal: controller.signal }));
    await clock.advance(50);
    controller.abort();
    await clock.advance(100);
    expect(renewing.state).toBe("resolved");
    expect(await clock.until(locks.autoRenew("a", "nobody", { signal: AbortSignal.abort() }))).toBeUndefined();
  });

  test("ends when the provider closes, with no timer left", async () => {
    const { clock, driver, locks } = scenario();
    driver.table.occupy("a", 30_000, "me");
    const renewing = watchPromise(locks.autoRenew("a", "me"));
    await clock.advance(1_000);
    await clock.until(locks.close());
    expect(renewing).toMatchObject({ state: "rejected", error: { code: "DLOCK_CLOSED" } });
    expect(clock.pending).toBe(0);
  });

  test("refuses bad arguments, and warns of an interval that is too long", async () => {
    const warned: unknown[] = [];
    const silence = () => {};
    const { clock, driver, locks } = scenario({
      logger: { debug: silence, info: silence, error: silence, warn: (fields: object, message?: string) => warned.push([fields, message]) },
    });
    expect(await errorOf(locks.autoRenew("a", "me", { intervalMs: 0 }))).toBeInstanceOf(RangeError);
    expect(await errorOf(locks.autoRenew("a", "me", { every: 5 } as object))).toBeInstanceOf(TypeError);
    expect(await errorOf(locks.autoRenew("", "me"))).toMatchObject({ code: "DLOCK_INVALID_KEY" });
    driver.table.occupy("a", 30_000, "me");
    void watchPromise(locks.autoRenew("a", "me", { intervalMs: 30_000 }));
    await clock.settle();
    expect(warned).toMatchObject([[{ lock_key: "a", interval_ms: 30_000, ttl_ms: 30_000 }, expect.stringContaining("not below the TTL")]]);
  });
});
