/** `lockAll`: all keys or none, nothing held while it waits, and no starving. */
import { describe, expect, test } from "vitest";
import {
  driverError,
  LockBackendError,
  LockLostError,
  LockNotAcquiredError,
  LockNotHeldError,
  type LockProvider,
  LockTimeoutError,
  type ProviderOptions,
} from "../src/index.ts";
import { errorOf, record, scenario, watchPromise } from "./support/scenario.ts";
import { answering, failing, type ScriptedOptions, silent, slow } from "./support/scripted-driver.ts";
import type { VirtualClock } from "./support/virtual-clock.ts";

const away = driverError("the server is away", { applied: "no", retryable: true });
const broken = driverError("the password is wrong", { applied: "no", retryable: false });

describe("the handle", () => {
  test("has the keys in the order of their bytes, a token for each, one signal, and frees all at once", async () => {
    const { clock, driver, locks } = scenario();
    const all = await clock.until(locks.lockAll(["b", "é", "a", { key: "r", mode: "shared" }]));
    expect(all.keys).toEqual(["a", "b", "r", "é"]);
    expect([...all.tokens.keys()]).toEqual(all.keys);
    for (const [key, token] of all.tokens) expect(driver.table.holders(key)).toMatchObject([{ token: token >> 10n }]);
    expect(driver.table.holders("r")).toMatchObject([{ mode: "shared" }]);
    expect(all.isHeld).toBe(true);
    expect(all.remainingMs).toBeGreaterThan(29_000);
    expect(all.signal).toBe(all.signal);
    expect(await clock.until(all.unlock())).toBe(true);
    expect(await all.unlock()).toBe(true);
    expect(driver.table.size).toBe(0);
    expect([all.isHeld, all.remainingMs, all.signal.aborted]).toEqual([false, 0, false]);
    expect(driver.of("acquire")).toHaveLength(1);
    expect(driver.of("release")).toHaveLength(1);
  });

  test("is disposed of by releasing all", async () => {
    const { clock, driver, locks } = scenario();
    const all = await clock.until(locks.lockAll(["a", "b"]));
    await clock.until(Promise.resolve(all[Symbol.asyncDispose]()));
    expect(driver.table.size).toBe(0);
  });

  test("refreshes all, with the TTL asked for", async () => {
    const { clock, driver, locks } = scenario({ autoRenew: false });
    const all = await clock.until(locks.lockAll(["a", "b"]));
    await clock.until(all.refresh(90_000));
    expect(all.remainingMs).toBe(89_100);
    expect(driver.claimsOf("extend").map(({ key, ttlMs }) => [key, ttlMs])).toEqual([
      ["a", 90_000],
      ["b", 90_000],
    ]);
    await clock.until(all.unlock());
    expect(await errorOf(all.refresh())).toBeInstanceOf(LockNotHeldError);
  });

  test("aborts its signal when one of the locks is lost, and then reports false at unlock and still frees the others", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 3_000 });
    const all = await clock.until(locks.lockAll(["a", "b"]));
    const { signal } = all;
    driver.table.drop("b");
    await clock.advance(1_100);
    expect(signal.reason).toBeInstanceOf(LockLostError);
    expect(signal.reason).toMatchObject({ key: "b", reason: "refused" });
    expect(all.isHeld).toBe(false);
    expect(await errorOf(all.refresh())).toBeInstanceOf(LockNotHeldError);
    expect(driver.table.keys()).toEqual(["a"]);
    expect(await clock.until(all.unlock())).toBe(false);
    expect(driver.table.size).toBe(0);
  });

  test("says so to a signal that is first asked for afterwards", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 3_000 });
    const all = await clock.until(locks.lockAll(["a", "b"]));
    driver.table.drop("b");
    await clock.advance(1_100);
    expect(all.signal.aborted).toBe(true);
  });

  test("throws the first error of a release after all were tried", async () => {
    const { clock, driver, locks } = scenario();
    const all = await clock.until(locks.lockAll(["a", "b"]));
    driver.next("release", (serve) => (serve() as unknown[]).map((freed, i) => (i === 0 ? broken : freed)));
    expect(await errorOf(clock.until(all.unlock()))).toMatchObject({ code: "DLOCK_BACKEND", key: "a" });
    expect(driver.table.keys()).toEqual([]);
  });
});

describe("the requests", () => {
  test("are merged when a key is named twice: exclusive includes shared", async () => {
    const { clock, driver, locks } = scenario();
    const reader = { key: "a", mode: "shared" } as const;
    const all = await clock.until(locks.lockAll(["b", reader, "a", reader, { key: "c", ...{ mode: "shared" }, limit: 2 }, "b"]));
    expect(all.keys).toEqual(["a", "b", "c"]);
    expect(driver.claimsOf("acquire").map(({ key, mode, limit }) => [key, mode, limit])).toEqual([
      ["a", "exclusive", undefined],
      ["b", "exclusive", undefined],
      ["c", "shared", 2],
    ]);
  });

  const reader = (limit?: number) => ({ key: "a", mode: "shared", ...(limit === undefined ? {} : { limit }) }) as const;

  test.each([
    ["another limit", [reader(2), reader(3)], RangeError, /"a" .*limits 2 and 3/],
    ["a limit and none", [reader(), reader(3)], RangeError, /limits undefined and 3/],
    ["another limit, with an exclusive one in between", [reader(2), "a", reader(3)], RangeError, /limits 2 and 3/],
    ["a limit without shared, even beside a good request", ["a", { key: "a", limit: 2 }], TypeError, /limit needs mode: "shared"/],
    ["an unknown mode", ["a", { key: "a", mode: "update" }], TypeError, /mode must be/],
    ["a limit out of range, even beside an exclusive one", ["a", reader(0)], RangeError, /limit must be/],
    ["an unknown property", [{ key: "a", ttlMs: 5 }], TypeError, /unknown option "ttlMs"/],
    ["no key at all", [], TypeError, /at least one key/],
    ["a single string", "a", TypeError, /array/],
    ["a bad key", ["a", ""], Error, /1 to 255 bytes/],
  ])("with %s are refused, and nothing is asked of the server", async (_, requests, type, message) => {
    const { driver, locks } = scenario();
    const error = await errorOf(locks.lockAll(requests as string[]));
    expect(error).toBeInstanceOf(type);
    expect((error as Error).message).toMatch(message);
    expect(driver.calls).toEqual([]);
  });

  test("take options for all, and none that concern a single key", async () => {
    const { clock, driver, locks } = scenario();
    expect(await errorOf(locks.lockAll(["a"], { owner: "me" } as object))).toBeInstanceOf(TypeError);
    await clock.until(locks.lockAll(["a", "b"], { ttlMs: 7_000, metadata: "both" }));
    for (const claim of driver.claimsOf("acquire")) expect(claim).toMatchObject({ ttlMs: 7_000, metadata: "both" });
  });
});

describe("while a key is held by another", () => {
  test("nothing is held: whoever wants one of the free keys meanwhile gets it, here and elsewhere", async () => {
    const { clock, driver, locks, another } = scenario();
    const free = driver.table.occupy("b");
    const all = watchPromise(locks.lockAll(["a", "b"], { waitMs: 60_000 }));
    await clock.advance(5);
    expect(driver.table.keys()).toEqual(["b"]);
    const here = await clock.until(locks.lock("a", { waitMs: 0 }));
    await clock.until(here.unlock());
    const there = await clock.until(another().locks.lock("a", { waitMs: 0 }));
    await clock.until(there.unlock());
    expect(all.state).toBe("pending");
    free();
    await clock.advance(1_000);
    expect(all.state).toBe("resolved");
  });

  test("a notification ends the wait at once", async () => {
    const { clock, driver, locks } = scenario({}, { watch: true });
    const free = driver.table.occupy("b");
    const all = watchPromise(locks.lockAll(["a", "b"], { waitMs: 60_000 }));
    await clock.advance(25);
    free();
    await clock.settle();
    expect(all.state).toBe("resolved");
    expect(driver.table.watched).toBe(0);
  });

  test.each(["unlocks", "loses it"])(
    "so does a holder of the same process, whom the server has never seen in the way, when he %s",
    async (how) => {
      const { clock, locks } = scenario({}, { watch: true });
      const lock = await clock.until(locks.lock("b", how === "unlocks" ? {} : { maxHoldMs: 200 }));
      const all = watchPromise(locks.lockAll(["a", "b"], { waitMs: 60_000 }));
      await clock.advance(200);
      if (how === "unlocks") await clock.until(lock.unlock());
      await clock.settle();
      expect(lock.isHeld).toBe(false);
      expect(all.state).toBe("resolved");
      expect(clock.now()).toBe(200);
    },
  );

  test("the end of the holder's lease ends it too", async () => {
    const { clock, driver, locks } = scenario();
    driver.table.occupy("b", 5);
    await clock.until(locks.lockAll(["a", "b"], { waitMs: 60_000 }));
    expect(clock.now()).toBeLessThan(10);
  });

  test("after five refusals the keys are taken in the order of their bytes, holding", async () => {
    const { clock, driver, locks } = scenario();
    const free = driver.table.occupy("b");
    const all = watchPromise(locks.lockAll(["c", "b", "a"], { waitMs: 60_000 }));
    await clock.advance(1_000);
    expect(driver.table.keys()).toEqual(["b", "a"]);
    const rounds = driver.of("acquire").filter(({ claims }) => claims.length === 3);
    expect(rounds).toHaveLength(5);
    free();
    await clock.advance(1_000);
    expect(all.state).toBe("resolved");
  });

  test("waitMs is for all keys together, and the error names the one in the way, its holder and the whole wait", async () => {
    for (const [inTheWay, waitMs] of [
      ["b", 20],
      ["b", 200],
      ["c", 200],
      ["b", 5_000],
      ["c", 5_000],
    ] as const) {
      const { clock, driver, locks } = scenario();
      const told = record(locks, "timeout");
      driver.table.occupy(inTheWay, 3_600_000, "somebody");
      const error = await errorOf(clock.until(locks.lockAll(["a", "b", "c"], { waitMs })));
      expect(error).toBeInstanceOf(LockTimeoutError);
      expect(error).toMatchObject({ key: inTheWay, holder: { owner: "somebody" } });
      expect(clock.now()).toBe(waitMs);
      expect(told).toMatchObject([{ key: inTheWay }]);
      await clock.advance(1_000);
      expect(driver.table.keys()).toEqual([inTheWay]);
    }
  });

  test("an abort ends the wait at once", async () => {
    const { clock, driver, locks } = scenario();
    driver.table.occupy("b");
    const controller = new AbortController();
    const work = errorOf(locks.lockAll(["a", "b"], { waitMs: 60_000, signal: controller.signal }));
    await clock.advance(160); // The next look is due at 310 ms.
    controller.abort("enough");
    await clock.settle();
    expect(await work).toBe("enough");
    expect(clock.now()).toBe(160);
  });

  test("a notification during an attempt is not missed", async () => {
    const { clock, driver, locks } = scenario({}, { watch: true });
    const free = driver.table.occupy("b");
    const work = watchPromise(locks.lockAll(["a", "b"], { waitMs: 60_000 }));
    await clock.advance(1);
    driver.next("acquire", slow(0, 5));
    await clock.advance(20); // Looked at again at 20 ms; the refusal is on its way back.
    free();
    await clock.advance(8);
    expect(work.state).toBe("resolved");
  });

  test("with waitMs: 0 it asks once and throws LockNotAcquiredError", async () => {
    const { clock, driver, locks } = scenario();
    driver.table.occupy("b", 3_600_000, "somebody");
    const error = await errorOf(clock.until(locks.lockAll(["a", "b"], { waitMs: 0 })));
    expect(error).toBeInstanceOf(LockNotAcquiredError);
    expect(error).toMatchObject({ key: "b", holder: { owner: "somebody" } });
    expect(clock.now()).toBe(0);
    expect(driver.of("acquire")).toHaveLength(1);
    expect(driver.table.keys()).toEqual(["b"]);
  });

  test.each([
    ["before it begins", -1],
    ["while it waits holding nothing", 30],
    ["while it waits in order, holding", 2_000],
  ])("an abort %s ends it with the caller's reason and leaves nothing held", async (_, afterMs) => {
    const { clock, driver, locks } = scenario();
    driver.table.occupy("b");
    const controller = new AbortController();
    if (afterMs < 0) controller.abort("changed my mind");
    const work = errorOf(locks.lockAll(["a", "b", "c"], { waitMs: 60_000, signal: controller.signal }));
    await clock.advance(Math.max(afterMs, 0));
    controller.abort("changed my mind");
    expect(await clock.until(work)).toBe("changed my mind");
    await clock.advance(10);
    expect(driver.table.keys()).toEqual(["b"]);
    expect(locks.stats()).toMatchObject({ active: 0, waiting: 0 });
    expect(clock.vital).toBe(0);
  });

  test("closing the provider ends it, and nothing stays", async () => {
    const { clock, driver, locks } = scenario({}, { watch: true });
    driver.table.occupy("b");
    const work = errorOf(locks.lockAll(["a", "b"], { waitMs: 60_000 }));
    await clock.advance(30);
    await clock.until(locks.close());
    await clock.advance(600);
    expect(await clock.until(work)).toMatchObject({ code: "DLOCK_CLOSED" });
    expect(driver.table.keys()).toEqual(["b"]);
    expect(driver.table.watched).toBe(0);
    expect(clock.pending).toBe(0);
  });
});

describe("a backend that fails", () => {
  test("for good at one key releases the others and throws at once", async () => {
    const { clock, driver, locks } = scenario();
    driver.next("acquire", (serve) => (serve() as unknown[]).map((outcome, i) => (i === 1 ? broken : outcome)));
    const error = await errorOf(clock.until(locks.lockAll(["a", "b", "c"])));
    expect(error).toBeInstanceOf(LockBackendError);
    expect(error).toMatchObject({ key: "b", cause: broken });
    await clock.advance(1);
    expect(driver.table.keys()).toEqual(["b"]); // The liar granted it.
    expect(clock.now()).toBeLessThan(10);
  });

  test("for good while the keys are taken in order releases those before", async () => {
    const { clock, driver, locks } = scenario();
    driver.table.occupy("b");
    const work = errorOf(locks.lockAll(["a", "b"], { waitMs: 60_000 }));
    await clock.advance(1_000);
    expect(driver.table.keys()).toEqual(["b", "a"]);
    driver.always("acquire", failing(broken));
    expect(await clock.until(work)).toBeInstanceOf(LockBackendError);
    expect(driver.table.keys()).toEqual(["b"]);
  });

  test("for a moment is outlasted, as lock does", async () => {
    const { clock, driver, locks } = scenario();
    driver.next("acquire", failing(away), failing(away));
    const all = await clock.until(locks.lockAll(["a", "b"], { waitMs: 10_000 }));
    expect(all.isHeld).toBe(true);
  });

  test("until the end of the wait is told with its own error, and what was granted is undone", async () => {
    const { clock, driver, locks } = scenario();
    driver.always("acquire", (serve) => (serve() as unknown[]).map((outcome, i) => (i === 1 ? away : outcome)));
    const error = await errorOf(clock.until(locks.lockAll(["a", "z"], { waitMs: 100 })));
    expect(error).toMatchObject({ code: "DLOCK_BACKEND", cause: away, retryable: true });
    await clock.advance(1);
    expect(driver.table.keys()).not.toContain("a");
  });

  test("by silence ends within waitMs and one attempt", async () => {
    const { clock, driver, locks } = scenario();
    driver.always("acquire", silent);
    expect(await errorOf(clock.until(locks.lockAll(["a", "b"], { waitMs: 1_000, attemptTimeoutMs: 300 })))).toBeInstanceOf(
      LockBackendError,
    );
    expect(clock.now()).toBeLessThanOrEqual(1_300);
    expect(locks.stats()).toMatchObject({ active: 0, waiting: 0 });
  });

  test("to keep a lease for as long as the others are waited for is never answered with a handle that is not held", async () => {
    const { clock, driver, locks } = scenario();
    driver.table.occupy("b", 2_000);
    const all = await clock.until(locks.lockAll(["a", "b"], { waitMs: 60_000, ttlMs: 500, autoRenew: false }));
    expect(all.isHeld).toBe(true);
    expect(all.remainingMs).toBeGreaterThan(400);
  });

  test("to keep any lease for long enough makes it give up in time", async () => {
    const { clock, driver, locks } = scenario();
    const claims = answering([{ acquired: true, token: 1n, ttlMs: 20 }]);
    driver.always("acquire", async (serve, at) => {
      await at.sleep(30);
      return claims(serve, at);
    });
    await errorOf(clock.until(locks.lockAll(["a", "b"], { waitMs: 500 })));
    expect(clock.now()).toBeLessThan(6_000);
  });
});

describe("among others", () => {
  /** A small generator of our own, so that a failure prints all it needs: the seed. */
  function dice(seed: number): (below: number) => number {
    let state = seed >>> 0;
    return (below) => {
      state = (state * 1_664_525 + 1_013_904_223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
  }

  // Without notifications a single lock can miss each free moment between the turns of another process, too.
  test.each([
    ["of this process", false],
    ["of this process and another", true],
  ])("single-key traffic %s that never leaves a key free cannot starve it", async (_, watch) => {
    for (let round = 0; round < 5; round++) {
      const { clock, driver, locks, another } = scenario({ waitMs: 60_000 }, { watch });
      let over = false;
      const traffic = async (provider: LockProvider, key: string) => {
        while (!over) await provider.withLock(key, () => clock.sleep(7));
      };
      const busy = (watch ? [locks, another().locks] : [locks]).flatMap((provider) =>
        ["a", "b", "c"].flatMap((key) => [traffic(provider, key), traffic(provider, key)]),
      );
      const all = await clock.until(locks.lockAll(["c", "a", "b"], { waitMs: 30_000 }));
      expect(all.isHeld).toBe(true);
      for (const key of ["a", "b", "c"]) expect(driver.table.holders(key)).toHaveLength(1);
      await clock.until(all.unlock());
      over = true;
      await clock.until(Promise.all(busy));
    }
  });

  /** Takers of random sets and single keys, in two processes; returns what each acquisition waited. */
  async function crowd(
    seed: number,
    options: ProviderOptions,
    driverOptions: ScriptedOptions,
  ): Promise<{ waits: number[]; clock: VirtualClock }> {
    const { clock, driver, locks, another } = scenario({ waitMs: 120_000, ...options }, driverOptions);
    const providers = [locks, another().locks];
    const roll = dice(seed);
    const keys = ["a", "b", "c", "d", "e"];
    const writers = new Map<string, number>();
    const readers = new Map<string, number>();
    const count = (of: Map<string, number>, key: string, by: number) => of.set(key, (of.get(key) ?? 0) + by);
    const waits: number[] = [];
    const limit = 2;
    const enter = (key: string, shared: boolean, by: 1 | -1) => {
      count(shared ? readers : writers, key, by);
      const [writing = 0, reading = 0] = [writers.get(key), readers.get(key)];
      if (writing > 1 || reading > limit || (writing > 0 && reading > 0)) throw new Error(`${key}: ${writing} writers, ${reading} readers`);
    };
    const single = async () => {
      for (let i = 0; i < 12; i++) {
        const key = keys[roll(keys.length)] as string;
        await (providers[roll(2)] as LockProvider).withLock(key, async () => {
          enter(key, false, 1);
          await clock.sleep(1 + roll(10));
          enter(key, false, -1);
        });
      }
    };
    const several = async () => {
      for (let i = 0; i < 4; i++) {
        const wanted = keys.filter(() => roll(2) === 0);
        if (wanted.length === 0) wanted.push("a");
        const requests = wanted.map((key) => (roll(3) === 0 ? { key, mode: "shared" as const, limit } : { key }));
        const startedAt = clock.now();
        const all = await (providers[roll(2)] as LockProvider).lockAll(requests.sort(() => roll(3) - 1));
        waits.push(clock.now() - startedAt);
        if (!all.isHeld) throw new Error("not held");
        for (const { key, ...mode } of requests) enter(key, "mode" in mode, 1);
        await clock.sleep(1 + roll(10));
        for (const { key, ...mode } of requests) enter(key, "mode" in mode, -1);
        await all.unlock();
      }
    };
    await clock.until(Promise.all([...Array.from({ length: 6 }, single), ...Array.from({ length: 4 }, several)]));
    expect(driver.table.size).toBe(0);
    for (const provider of providers) expect(provider.stats()).toMatchObject({ active: 0, waiting: 0, lost: 0 });
    expect(driver.table.watched).toBe(0);
    return { waits, clock };
  }

  test.each([
    ["with notifications", { watch: true }],
    ["without", { watch: false }],
  ])("random overlapping sets %s neither deadlock nor hold a part nor wait without bound", async (_, driverOptions) => {
    for (let seed = 1; seed <= 30; seed++) {
      try {
        const { waits } = await crowd(seed, {}, driverOptions);
        expect(waits).toHaveLength(16);
        // 88 sections of at most 10 ms each: even one after the other they end in a fraction of this.
        expect(Math.max(...waits)).toBeLessThan(10_000);
      } catch (error) {
        throw new Error(`seed ${seed}`, { cause: error });
      }
    }
  });
});
