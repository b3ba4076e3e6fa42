/** What alerts hang on: locks held for long, and too many acquisitions that fail. */
import { describe, expect, test } from "vitest";
import { createLockProvider } from "../src/index.ts";
import { errorOf, record, scenario } from "./support/scenario.ts";
import { ScriptedDriver } from "./support/scripted-driver.ts";
import { VirtualClock } from "./support/virtual-clock.ts";

describe("held-long", () => {
  test("is told once, when a lock is held for longer than heldLongMs, with who holds it", async () => {
    const { clock, locks } = scenario({ heldLongMs: 5_000 });
    const told = record(locks, "held-long");
    const lock = await clock.until(locks.lock("a"));
    await clock.advance(4_999);
    expect(told).toEqual([]);
    await clock.advance(1);
    expect(told).toEqual([{ key: "a", owner: lock.owner, token: String(lock.token), heldMs: 5_000 }]);
    await clock.advance(60_000);
    expect(told).toHaveLength(1);
    expect(lock.isHeld).toBe(true);
  });

  test("is not told of a lock that is released in time, and counts anew for each holder the lease is handed to", async () => {
    const { clock, driver, locks } = scenario({ heldLongMs: 5_000, waitMs: 60_000, handOff: { max: 10, maxMs: 60_000 } });
    const told = record(locks, "held-long");
    const holder = (ms: number) => locks.withLock("a", ({ owner }) => clock.sleep(ms).then(() => owner));
    const owners = await clock.until(Promise.all([holder(4_000), holder(4_000), holder(6_000), holder(100)]));
    expect(driver.of("acquire")).toHaveLength(1);
    expect(told).toMatchObject([{ key: "a", owner: owners[2], heldMs: 5_000 }]);
  });

  test("is told although the lock is not renewed, and goes to the log too", async () => {
    const lines: unknown[] = [];
    const silence = () => {};
    const { clock, locks } = scenario({
      heldLongMs: 5_000,
      autoRenew: false,
      logger: { debug: silence, info: silence, error: silence, warn: (fields: object, message?: string) => lines.push([fields, message]) },
    });
    const lock = await clock.until(locks.lock("a"));
    await clock.advance(6_000);
    expect(lock.isHeld).toBe(true);
    expect(lines).toMatchObject([[{ lock_key: "a", owner: lock.owner, held_ms: 5_000 }, "lock held for long"]]);
  });

  test("never comes unless it is asked for", async () => {
    const { clock, locks } = scenario();
    const told = record(locks, "held-long");
    await clock.until(locks.lock("a"));
    await clock.advance(3_600_000);
    expect(told).toEqual([]);
  });
});

describe("failure-rate", () => {
  function failing(options = {}) {
    const stage = scenario({ failureRate: { threshold: 0.5, windowMs: 10_000, least: 4, ...options } });
    stage.driver.table.occupy("held");
    return {
      ...stage,
      told: record(stage.locks, "failure-rate"),
      fail: () => stage.clock.until(errorOf(stage.locks.lock("held", { waitMs: 0 }))),
      succeed: async () => void (await (await stage.clock.until(stage.locks.lock("free"))).unlock()),
    };
  }

  test("is told when more than the threshold fail, and again when that is over", async () => {
    const { told, fail, succeed } = failing();
    for (const step of [fail, fail, succeed, succeed]) await step();
    expect(told).toEqual([]); // A half is not more than a half.
    await fail();
    expect(told).toEqual([{ rate: 3 / 5, total: 5, failed: 3, over: true }]);
    await fail();
    await fail();
    expect(told).toHaveLength(1);
    for (let i = 0; i < 3; i++) await succeed();
    expect(told[1]).toEqual({ rate: 5 / 10, total: 10, failed: 5, over: false });
    expect(told).toHaveLength(2);
  });

  test("says nothing of fewer acquisitions than `least`", async () => {
    const { told, fail } = failing();
    for (let i = 0; i < 3; i++) await fail();
    expect(told).toEqual([]);
    await fail();
    expect(told).toMatchObject([{ total: 4, failed: 4, rate: 1, over: true }]);
  });

  test("forgets what is older than the window", async () => {
    const { clock, told, fail, succeed } = failing();
    for (let i = 0; i < 3; i++) await fail();
    await clock.advance(10_000);
    for (let i = 0; i < 3; i++) await fail();
    expect(told).toEqual([]);
    await clock.advance(5_000);
    await fail();
    expect(told).toMatchObject([{ total: 4, over: true }]);
    await clock.advance(1_000_000);
    for (let i = 0; i < 4; i++) await succeed();
    expect(told[1]).toEqual({ rate: 0, total: 4, failed: 0, over: false });
  });

  test("counts time-outs, refusals and faults, and not what the caller aborted", async () => {
    const { clock, locks, told, fail } = failing();
    await clock.until(errorOf(locks.lock("held", { waitMs: 100 })));
    await clock.until(locks.tryLock("held"));
    await fail();
    const controller = new AbortController();
    const aborted = errorOf(locks.lock("held", { signal: controller.signal }));
    controller.abort("enough");
    expect(await clock.until(aborted)).toBe("enough");
    expect(told).toEqual([]);
    await fail();
    expect(told).toMatchObject([{ total: 4, failed: 4 }]);
  });

  test.each([
    [{ threshold: 1.5 }, /failureRate\.threshold must be a number from 0 to 1/],
    [{ windowMs: 0 }, /failureRate\.windowMs/],
    [{ least: 0 }, /failureRate\.least/],
    [{ rate: 0.5 }, /failureRate: unknown option "rate"/],
  ])("refuses %o", (failureRate, message) => {
    const clock = new VirtualClock();
    expect(() => createLockProvider(new ScriptedDriver(clock), { clock, failureRate: failureRate as object })).toThrow(message);
  });
});
