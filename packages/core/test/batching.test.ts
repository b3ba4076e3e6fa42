/** How claims share driver calls: without delay, within the driver's limits, and without waiting for one that hangs. */
import { describe, expect, test } from "vitest";
import { scenario, watchPromise } from "./support/scenario.ts";
import { silent, slow } from "./support/scripted-driver.ts";

const keys = (count: number, prefix = "key") => Array.from({ length: count }, (_, index) => `${prefix} ${index}`);

describe("batches", () => {
  test("of one go out in the tick of the call: concurrency 1 has no delay", async () => {
    const { clock, driver, locks } = scenario();
    for (const key of keys(20)) {
      const lock = await clock.until(locks.lock(key));
      await clock.until(lock.unlock());
    }
    expect(clock.now()).toBe(0);
    expect(driver.of("acquire")).toHaveLength(20);
    expect(driver.of("release")).toHaveLength(20);
  });

  test("carry what was called in one tick in one call", async () => {
    const { clock, driver, locks } = scenario();
    const held = await clock.until(Promise.all(keys(256).map((key) => locks.lock(key))));
    expect(driver.of("acquire")).toHaveLength(1);
    await clock.until(Promise.all(held.map((lock) => lock.unlock())));
    expect(driver.of("release")).toHaveLength(1);
  });

  test("carry what arrived while a call was under way: 256 concurrent loops become few calls", async () => {
    const { clock, driver, locks } = scenario();
    driver.always("acquire", slow(1, 1)).always("release", slow(1, 1));
    const loop = async (key: string) => {
      for (let round = 0; round < 5; round++) await (await locks.lock(key)).unlock();
    };
    await clock.until(Promise.all(keys(256).map(loop)));
    expect(driver.claimsOf("acquire")).toHaveLength(1_280);
    expect(driver.of("acquire").length).toBeLessThanOrEqual(20);
    expect(driver.of("release").length).toBeLessThanOrEqual(20);
  });

  test("that are large are told in parts over a network: what follows from one is on its way before the next is told", async () => {
    const { clock, driver, locks } = scenario();
    driver.always("acquire", slow(1, 1)).always("release", slow(1, 1));
    const cycle = async (key: string) => (await locks.lock(key)).unlock();
    await clock.until(Promise.all(keys(300).map(cycle)));
    expect(driver.calls.map(({ operation, claims }) => [operation, claims.length])).toEqual([
      ["acquire", 300],
      ["release", 100],
      ["release", 200],
    ]);
  });

  test("are told at once where there is no network to work meanwhile", async () => {
    const { clock, driver, locks } = scenario({}, { capabilities: { scope: "host" } });
    driver.always("acquire", slow(1, 1));
    const cycle = async (key: string) => (await locks.lock(key)).unlock();
    await clock.until(Promise.all(keys(300).map(cycle)));
    expect(driver.calls.map(({ operation, claims }) => [operation, claims.length])).toEqual([
      ["acquire", 300],
      ["release", 300],
    ]);
  });

  test("told in parts leave nothing behind when the provider is closed in between", async () => {
    const { clock, driver, locks } = scenario();
    driver.always("acquire", slow(1, 1));
    const closed = Promise.race(keys(300).map((key) => locks.lock(key))).then(() => locks.close());
    await clock.until(closed);
    expect(driver.claimsOf("acquire")).toHaveLength(300);
    expect(driver.table.size).toBe(0);
    expect(locks.stats().active).toBe(0);
  });

  test("are never larger than the driver allows", async () => {
    const { clock, driver, locks } = scenario({}, { capabilities: { maxBatch: 7 } });
    const held = await clock.until(Promise.all(keys(100).map((key) => locks.lock(key))));
    await clock.until(Promise.all(held.map((lock) => lock.unlock())));
    expect(Math.max(...driver.calls.map((call) => call.claims.length))).toBe(7);
    expect(driver.claimsOf("acquire")).toHaveLength(100);
    expect(driver.table.size).toBe(0);
  });

  test("never carry a key twice when acquiring", async () => {
    const { clock, driver, locks } = scenario();
    driver.always("acquire", slow(2, 2));
    const wanted = Array.from({ length: 60 }, (_, index) => `key ${index % 5}`);
    const acquisitions = wanted.map((key, index) =>
      locks.lock(key, index % 2 === 0 ? { owner: `owner ${index}`, waitMs: 60_000 } : { mode: "shared", waitMs: 60_000 }),
    );
    await clock.until(Promise.all(acquisitions.map(async (acquisition) => (await acquisition).unlock())));
    for (const call of driver.of("acquire")) expect(new Set(call.claims.map((claim) => claim.key)).size).toBe(call.claims.length);
  });

  test("never carry a key and owner twice when renewing", async () => {
    const { clock, driver, locks } = scenario();
    const lock = await clock.until(locks.lock("a"));
    await clock.until(Promise.all([lock.refresh(), lock.refresh(), lock.refresh(40_000)]));
    expect(driver.of("extend").map((call) => call.claims.length)).toEqual([1, 1, 1]);
  });

  test("never carry a key and owner twice when a lease has ended and its owner got the next one", async () => {
    const { clock, driver, locks } = scenario();
    const other = await clock.until(locks.lock("b"));
    const first = await clock.until(locks.lock("a", { owner: "me" }));
    driver.always("extend", silent);
    // The first call hangs, so the next one waits for a moment.
    const refreshes = [other.refresh()];
    await clock.settle();
    refreshes.push(first.refresh());
    await clock.until(first.unlock());
    const second = await clock.until(locks.lock("a", { owner: "me" }));
    refreshes.push(second.refresh());
    await clock.until(Promise.allSettled(refreshes));
    const renewed = driver.of("extend").map((call) => call.claims.map(({ key, owner }) => `${key} ${owner}`));
    expect(renewed.flat().filter((claim) => claim === "a me")).toHaveLength(2);
    for (const claims of renewed) expect(new Set(claims).size).toBe(claims.length);
  });

  test("of different lanes are never mixed, and a frozen lane does not delay the others", async () => {
    const { clock, driver, locks } = scenario({}, { laneOf: (key) => key[0] as string });
    driver.always("acquire", (serve, virtual) => {
      const [claim] = driver.of("acquire").at(-1)?.claims ?? [];
      return claim?.key.startsWith("x") ? silent(serve, virtual) : serve();
    });
    const frozen = keys(10, "x").map((key) => watchPromise(locks.lock(key)));
    const served = keys(10, "y").map((key) => watchPromise(locks.lock(key)));
    await clock.settle();
    expect(served.every(({ state }) => state === "resolved")).toBe(true);
    expect(frozen.every(({ state }) => state === "pending")).toBe(true);
    for (const call of driver.of("acquire")) expect(new Set(call.claims.map((claim) => claim.key[0])).size).toBe(1);
    const later = watchPromise(locks.lock("y again"));
    await clock.settle();
    expect(later.state).toBe("resolved");
  });
});

describe("a batch that hangs", () => {
  test("does not hold up the next one", async () => {
    const { clock, driver, locks } = scenario();
    driver.next("acquire", silent);
    const hanging = watchPromise(locks.lock("hangs"));
    await clock.settle();
    const next = keys(5).map((key) => watchPromise(locks.lock(key)));
    await clock.advance(60);
    expect(next.every(({ state }) => state === "resolved")).toBe(true);
    expect(hanging.state).toBe("pending");
  });

  test("does not hold up the next one even when several hang", async () => {
    const { clock, driver, locks } = scenario({ attemptTimeoutMs: 5_000 });
    driver.next("acquire", silent, silent, silent, silent);
    for (const key of keys(4, "hangs")) {
      void watchPromise(locks.lock(key));
      await clock.advance(450);
    }
    expect(driver.of("acquire")).toHaveLength(4);
    const next = watchPromise(locks.lock("next"));
    await clock.advance(500);
    expect(next.state).toBe("resolved");
  });

  test("does not hold up renewals and releases", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 9_000 });
    const lock = await clock.until(locks.lock("held"));
    const other = await clock.until(locks.lock("other"));
    driver.always("acquire", silent);
    for (const key of keys(20, "hangs")) {
      void watchPromise(locks.lock(key, { waitMs: 100_000 }));
      await clock.advance(100);
    }
    expect(await clock.until(other.unlock())).toBe(true);
    expect(clock.now()).toBe(2_000);
    await clock.advance(30_000);
    expect(lock.isHeld).toBe(true);
  });

  test("of releases does not hold up acquiring and renewing", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 9_000 });
    const lock = await clock.until(locks.lock("held"));
    const other = await clock.until(locks.lock("other"));
    driver.always("release", silent);
    void watchPromise(other.unlock());
    const next = watchPromise(locks.lock("next"));
    await clock.settle();
    expect(next.state).toBe("resolved");
    await clock.advance(30_000);
    expect(lock.isHeld).toBe(true);
  });

  test("of renewals does not hold up the others that are due", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 9_000 });
    const first = await clock.until(locks.lock("first"));
    await clock.advance(400);
    const second = await clock.until(locks.lock("second"));
    driver.next("extend", silent);
    await clock.advance(8_000);
    expect(second.isHeld).toBe(true);
    expect(first.isHeld).toBe(true); // It was tried again.
    expect(driver.of("extend").length).toBeGreaterThanOrEqual(3);
  });

  test("and whose answer comes after its time changes nothing", async () => {
    const { clock, driver, locks } = scenario({ attemptTimeoutMs: 1_000 });
    driver.next("acquire", slow(0, 1_500));
    const lock = await clock.until(locks.lock("a"));
    await clock.advance(2_000);
    expect(lock.isHeld).toBe(true);
    expect(driver.table.holders("a")).toHaveLength(1);
    await clock.until(lock.unlock());
    expect(driver.table.size).toBe(0);
  });
});

describe("claims that must wait for others of their key", () => {
  test("have their time too, however long the line is", async () => {
    const { clock, driver, locks } = scenario({ attemptTimeoutMs: 1_000 });
    driver.always("acquire", slow(50, 50));
    const tried = Array.from({ length: 60 }, async (_, index) => {
      const lock = await locks.lock("a", { mode: "shared", owner: `owner ${index}` });
      return lock.isHeld;
    });
    expect(await clock.until(Promise.all(tried))).toEqual(Array(60).fill(true));
    expect(Math.min(...driver.of("acquire").map((call) => call.timeoutMs))).toBeGreaterThan(0);
  });

  test("are told in time when the server is silent", async () => {
    const { clock, driver, locks } = scenario({ attemptTimeoutMs: 1_000 });
    driver.always("acquire", silent);
    const tried = Array.from({ length: 60 }, (_, index) => locks.tryLock("a", { owner: `owner ${index}` }).catch((error) => error.code));
    expect(await clock.until(Promise.all(tried))).toEqual(Array(60).fill("DLOCK_BACKEND"));
    expect(clock.now()).toBeLessThanOrEqual(1_000);
  });
});
