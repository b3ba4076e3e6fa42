/** What a provider tells: events, statistics, log lines, and what its sweeper does. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { LogFields } from "../src/index.ts";
import { Histogram } from "../src/stats.ts";
import { errorOf, record, scenario, watchPromise } from "./support/scenario.ts";
import { failing, silent, slow } from "./support/scripted-driver.ts";

const warnings: Error[] = [];
const note = (warning: Error) => warnings.push(warning);
beforeEach(() => {
  warnings.length = 0;
  process.on("warning", note);
});
afterEach(() => {
  process.off("warning", note);
});

function logger() {
  const lines: { level: string; fields: LogFields; message: string }[] = [];
  const at = (level: string) => (fields: LogFields, message: string) => void lines.push({ level, fields, message });
  return { lines, logger: { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") } };
}

describe("events", () => {
  test("tell the life of a lock with its key, owner and token as a decimal string", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 3_000 });
    const told: [string, unknown][] = [];
    for (const name of ["acquired", "renewed", "released", "lost", "at-risk"] as const) locks.on(name, (event) => told.push([name, event]));
    driver.next("acquire", slow(10, 15));
    const lock = await clock.until(locks.lock("a"));
    const who = { key: "a", owner: lock.owner, token: String(lock.token) };
    await clock.until(lock.refresh());
    await clock.advance(475);
    await clock.until(lock.unlock());
    expect(told).toEqual([
      ["acquired", { ...who, waitedMs: 25, handedOff: false }],
      ["renewed", { ...who, remainingMs: 2_970 }],
      ["released", { ...who, heldMs: 475, handedOff: false }],
    ]);
  });

  test("tell who was in the way", async () => {
    const { clock, driver, locks } = scenario();
    const contended = record(locks, "contended");
    driver.table.occupy("a", 60_000, "somebody");
    await clock.until(locks.tryLock("a"));
    expect(contended).toMatchObject([{ key: "a", holder: { owner: "somebody", token: 1n << 10n, mode: "exclusive" } }]);
  });

  test("come in the order in which things happen: released before the next acquired, also by hand-off", async () => {
    const { clock, locks } = scenario();
    const order: string[] = [];
    locks.on("acquired", ({ token }) => order.push(`acquired ${token}`));
    locks.on("released", ({ token }) => order.push(`released ${token}`));
    const first = await clock.until(locks.lock("a"));
    const waiting = locks.lock("a");
    await clock.until(first.unlock());
    const second = await clock.until(waiting);
    await clock.until(second.unlock());
    expect(order).toEqual(["acquired 1024", "released 1024", "acquired 1025", "released 1025"]);
  });

  test("can be listened to by the same function twice; each off ends one", async () => {
    const { clock, locks } = scenario();
    let heard = 0;
    const listener = () => heard++;
    const off = locks.on("acquired", listener);
    const offToo = locks.on("acquired", listener);
    await clock.until(locks.lock("a"));
    expect(heard).toBe(2);
    off();
    off();
    await clock.until(locks.lock("b"));
    expect(heard).toBe(3);
    offToo();
    await clock.until(locks.lock("c"));
    expect(heard).toBe(3);
  });

  test("of a name that is none are refused, for nobody would ever hear of them", () => {
    const { locks } = scenario();
    for (const name of ["losst", "__proto__", "toString", "", undefined, 5])
      expect(() => locks.on(name as never, () => {})).toThrow(/^event must be one of acquired, contended, .*error$/);
  });

  test("whose listener throws break nothing: the error becomes an event", async () => {
    const { clock, driver, locks } = scenario();
    const errors = record(locks, "error");
    const boom = new Error("boom");
    for (const name of ["acquired", "released", "contended", "lost", "timeout"] as const)
      locks.on(name, () => {
        throw boom;
      });
    driver.table.occupy("b");
    const lock = await clock.until(locks.lock("a"));
    expect(await errorOf(clock.until(locks.lock("b", { waitMs: 5 })))).toMatchObject({ code: "DLOCK_TIMEOUT" });
    expect(await clock.until(lock.unlock())).toBe(true);
    expect(errors.length).toBeGreaterThanOrEqual(4);
    expect(errors.every(({ error, doing }) => error === boom && doing.includes("listener"))).toBe(true);
  });

  test("whose error listener throws too end in the log, or in a warning of the process", async () => {
    const { lines, logger: log } = logger();
    for (const options of [{}, { logger: log }]) {
      const { clock, locks } = scenario(options);
      locks.on("acquired", () => {
        throw new Error("first");
      });
      locks.on("error", () => {
        throw new Error("second");
      });
      await clock.until(locks.lock("a"));
      await clock.settle();
    }
    expect(warnings.map(({ message }) => message)).toEqual(["second"]);
    expect(lines.some(({ level, fields }) => level === "error" && (fields.err as Error).message === "second")).toBe(true);
  });

  test("whose listener uses the locks do no harm", async () => {
    const { clock, driver, locks } = scenario();
    const again: Promise<unknown>[] = [];
    const off = locks.on("released", () => {
      off();
      again.push(locks.lock("a", { owner: "me" }));
    });
    const lock = await clock.until(locks.lock("a", { owner: "me" }));
    await clock.until(lock.unlock());
    const second = (await clock.until(Promise.all(again)))[0] as typeof lock;
    await clock.advance(50);
    expect(second.isHeld).toBe(true);
    expect(driver.table.holders("a")).toHaveLength(1);
  });
});

describe("statistics", () => {
  test("count what happened", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 3_000, waitMs: 100, handOff: { maxMs: 1_000 } });
    const free = driver.table.occupy("busy");
    expect(locks.stats()).toMatchObject({ total: 0, active: 0, failed: 0, successRate: 0, waiting: 0 });
    const a = await clock.until(locks.lock("a"));
    const b = await clock.until(locks.lock("b", { autoRenew: false }));
    await errorOf(clock.until(locks.lock("busy")));
    await clock.until(locks.tryLock("busy"));
    free();
    const waiting = locks.lock("a");
    expect(locks.stats()).toMatchObject({ waiting: 1, active: 2 });
    await clock.until(a.unlock());
    await clock.until((await clock.until(waiting)).refresh());
    await clock.advance(3_000);
    expect(b.isHeld).toBe(false);
    driver.always("acquire", failing(new Error("away")));
    await errorOf(clock.until(locks.lock("c", { waitMs: 0 })));
    const stats = locks.stats();
    expect(stats).toMatchObject({ total: 6, active: 1, failed: 3, expired: 1, lost: 1, unlockCount: 1, handOffs: 1, waiting: 0 });
    expect(stats.contended).toBeGreaterThanOrEqual(3);
    expect(stats.refreshCount).toBeGreaterThanOrEqual(2);
    expect(stats.successRate).toBe(0.5);
    expect(stats.waitMs.count).toBe(3);
    expect(stats.holdMs).toMatchObject({ count: 1, maxMs: 100 });
  });

  test("leave waits that the caller aborted out of success and failure", async () => {
    const { clock, driver, locks } = scenario();
    driver.table.occupy("a");
    const controller = new AbortController();
    const waiting = errorOf(locks.lock("a", { signal: controller.signal }));
    await clock.settle();
    controller.abort();
    await waiting;
    expect(locks.stats()).toMatchObject({ total: 0, failed: 0, waiting: 0 });
  });

  test("put each time into the bucket whose bounds hold it", () => {
    for (const ms of [0, 0.01, 0.0625, 0.07, 0.125, 1, 1.5, 2, 1_000, 1_024, 1_025, 3_600_000, 2 ** 22, 1e9, 2 ** 31]) {
      const histogram = new Histogram();
      histogram.add(ms);
      const { buckets, count, sumMs, maxMs } = histogram.snapshot();
      const slot = buckets.findIndex((bucket) => bucket.count === 1);
      expect(ms).toBeLessThanOrEqual(buckets[slot]?.upToMs as number);
      if (slot > 0) expect(ms).toBeGreaterThan(buckets[slot - 1]?.upToMs as number);
      expect({ count, sumMs, maxMs }).toEqual({ count: 1, sumMs: ms, maxMs: ms });
      expect(buckets.at(-1)?.upToMs).toBe(Number.POSITIVE_INFINITY);
    }
  });
});

describe("the log", () => {
  test("has a line for each grant, release and loss, with the fields people search for", async () => {
    const { lines, logger: log } = logger();
    const { clock, driver, locks } = scenario({ ttlMs: 3_000, logger: log });
    const lock = await clock.until(locks.lock("a"));
    const who = { component: "dlock", lock_key: "a", owner: lock.owner, token: String(lock.token) };
    await clock.until(lock.unlock());
    const second = await clock.until(locks.lock("b"));
    driver.always("extend", silent);
    await clock.advance(3_000);
    expect(second.isHeld).toBe(false);
    expect(lines.map(({ level, message }) => [level, message])).toEqual([
      ["info", "lock acquired"],
      ["info", "lock released"],
      ["info", "lock acquired"],
      ["warn", "lock at risk"],
      ["warn", "lock lost"],
    ]);
    expect(lines[0]?.fields).toMatchObject({ ...who, waited_ms: 0 });
    expect(lines[1]?.fields).toMatchObject(who);
    expect(lines[3]?.fields).toMatchObject({ lock_key: "b", owner: second.owner, token: String(second.token) });
    expect(lines[4]?.fields).toMatchObject({ lock_key: "b", owner: second.owner, token: String(second.token), reason: "expired" });
  });

  test("that throws breaks no lock", async () => {
    const bad = () => {
      throw new Error("disk full");
    };
    const { clock, driver, locks } = scenario({ logger: { debug: bad, info: bad, warn: bad, error: bad }, ttlMs: 3_000 });
    const [first, second] = await clock.until(Promise.all([locks.lock("a"), locks.lock("b")]));
    expect(await clock.until(first.unlock())).toBe(true);
    driver.always("extend", silent);
    const { signal } = second;
    await clock.advance(3_000);
    expect(signal.aborted).toBe(true);
    await clock.settle();
    expect(warnings.length).toBeGreaterThan(0);
  });
});

describe("the sweeper", () => {
  test("sweeps in its rhythm while the provider is open, and tells how much", async () => {
    const { clock, driver, locks } = scenario({ sweepIntervalMs: 60_000 });
    const swept = record(locks, "swept");
    driver.table.occupy("a", 1_000);
    await clock.advance(180_000);
    expect(driver.of("sweep").map((call) => call.at)).toEqual([60_000, 120_000, 180_000]);
    expect(swept).toEqual([{ count: 1 }, { count: 0 }, { count: 0 }]);
    expect(locks.stats().swept).toBe(1);
    expect(clock.vital).toBe(0);
    await clock.until(locks.close());
    await clock.advance(180_000);
    expect(driver.of("sweep")).toHaveLength(3);
  });

  test("tells its failures as events and goes on", async () => {
    const { clock, driver, locks } = scenario({ sweepIntervalMs: 60_000 });
    const errors = record(locks, "error");
    driver.next("sweep", failing(new Error("no table")), silent);
    await clock.advance(190_000);
    expect(errors.map(({ doing }) => doing)).toEqual(["sweep", "sweep"]);
    expect(driver.of("sweep")).toHaveLength(3);
  });

  test("keeps no process alive while a sweep hangs", async () => {
    const { clock, driver, locks } = scenario({ sweepIntervalMs: 60_000 });
    driver.always("sweep", silent);
    await clock.advance(60_001);
    expect(driver.of("sweep")).toHaveLength(1);
    expect(clock.vital).toBe(0);
    const asked = watchPromise(locks.sweep());
    await clock.settle();
    expect(clock.vital).toBe(1); // Somebody waits for this one.
    await clock.advance(5_000);
    expect(asked.state).toBe("rejected");
  });
});
