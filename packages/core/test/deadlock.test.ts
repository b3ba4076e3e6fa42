/** `detectDeadlocks`: circles of contexts are broken, orders that contradict each other are told, and nothing else is. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DeadlockError, type Lock, type LockOptions, type LockProvider, LockTimeoutError } from "../src/index.ts";
import { errorOf, record, scenario } from "./support/scenario.ts";

function detecting() {
  return scenario({ detectDeadlocks: true, waitMs: 60_000 });
}

/** What each came to: "done" or the error's code. */
async function outcomes(tasks: Promise<unknown>[]): Promise<string[]> {
  const settled = await Promise.allSettled(tasks);
  return settled.map((each) => (each.status === "fulfilled" ? "done" : ((each.reason as { code?: string }).code ?? String(each.reason))));
}

describe("a circle of contexts", () => {
  test.each([2, 3, 5])("of %i is broken at once: one gets DeadlockError, the others go on", async (count) => {
    const { clock, driver, locks } = detecting();
    const told = record(locks, "deadlock");
    const key = (i: number) => `key-${i % count}`;
    const tasks = Array.from({ length: count }, (_, i) =>
      locks.withLock(key(i), async () => {
        await clock.sleep(10 + i);
        await locks.withLock(key(i + 1), () => clock.sleep(1));
      }),
    );
    const came = await clock.until(outcomes(tasks));
    expect(came.filter((each) => each === "DLOCK_DEADLOCK")).toHaveLength(1);
    expect(came.filter((each) => each === "done")).toHaveLength(count - 1);
    expect(clock.now()).toBeLessThan(1_000);
    expect(driver.table.size).toBe(0);
    expect(locks.stats()).toMatchObject({ active: 0, waiting: 0 });
    const circles = told.filter(({ kind }) => kind === "circle");
    expect(circles).toHaveLength(1);
    expect([...(circles[0]?.keys ?? [])].sort()).toEqual(Array.from({ length: count }, (_, i) => key(i)));
  });

  test("names the keys in the error, and the lines where they are held in the event", async () => {
    const { clock, locks } = detecting();
    const told = record(locks, "deadlock");
    const oneWay = () => locks.withLock("a", () => clock.sleep(1).then(() => locks.withLock("b", () => {})));
    const otherWay = () => locks.withLock("b", () => clock.sleep(2).then(() => locks.withLock("a", () => {})));
    const tasks = [oneWay(), otherWay()];
    const error = await clock.until(errorOf(Promise.all(tasks)));
    expect(error).toBeInstanceOf(DeadlockError);
    expect(error).toMatchObject({ code: "DLOCK_DEADLOCK", key: "a" });
    expect((error as Error).message).toContain('a circle of waiters: "a" → "b"');
    const circle = told.find(({ kind }) => kind === "circle");
    expect(circle?.where.join()).toMatch(/a: at .*oneWay .*b: at .*otherWay /);
    await clock.until(Promise.allSettled(tasks));
  });

  test("of locks taken several levels deep is found", async () => {
    const { clock, locks } = detecting();
    const first = locks.withLock("a", () =>
      locks.withLock("x", async () => {
        await clock.sleep(1);
        await locks.withLock("y", () => locks.withLock("b", () => {}));
      }),
    );
    const second = locks.withLock("b", () => clock.sleep(5).then(() => locks.withLock("z", () => locks.withLock("a", () => {}))));
    expect((await clock.until(outcomes([first, second]))).sort()).toEqual(["DLOCK_DEADLOCK", "done"]);
  });

  test("of a writer and two readers is found: a reader keeps a writer out, and a waiting writer the next reader", async () => {
    const { clock, locks } = detecting();
    const reader: LockOptions = { mode: "shared" };
    const one = locks.withLock("data", reader, () => clock.sleep(20).then(() => locks.withLock("m", () => {})));
    const two = locks.withLock("m", () => clock.sleep(10).then(() => locks.withLock("data", reader, () => {})));
    const writer = clock.sleep(5).then(() => locks.withLock("data", () => {}));
    const came = await clock.until(outcomes([one, two, writer]));
    expect(came.sort()).toEqual(["DLOCK_DEADLOCK", "done", "done"]);
    expect(clock.now()).toBeLessThan(1_000);
  });

  test("of an upgrade by two readers is found", async () => {
    const { clock, locks } = detecting();
    const upgrade = (mine: string, other: string) =>
      locks.withLock(mine, { mode: "shared" }, () => clock.sleep(1).then(() => locks.withLock(other, () => {})));
    const came = await clock.until(outcomes([upgrade("a", "b"), upgrade("b", "a")]));
    expect(came.sort()).toEqual(["DLOCK_DEADLOCK", "done"]);
  });

  test("that lockAll is part of is found", async () => {
    const { clock, locks } = detecting();
    const one = locks.withLock("a", () => clock.sleep(1).then(() => locks.lockAll(["b", "c"])));
    const two = locks.withLock("b", () => clock.sleep(2).then(() => locks.withLock("a", () => {})));
    const came = await clock.until(outcomes([one, two]));
    expect(came).toContain("DLOCK_DEADLOCK");
    expect(came).toContain("done");
    expect(clock.now()).toBeLessThan(10_000);
  });

  test("is broken by patience alone without detectDeadlocks", async () => {
    const { clock, locks } = scenario({ waitMs: 5_000 });
    const way = (mine: string, other: string) => locks.withLock(mine, () => clock.sleep(1).then(() => locks.withLock(other, () => {})));
    const came = await clock.until(outcomes([way("a", "b"), way("b", "a")]));
    expect(came).toContain("DLOCK_TIMEOUT");
    expect(clock.now()).toBeGreaterThanOrEqual(5_000);
  });
});

describe("no circle", () => {
  test("is what a detached task closes, nor a task whose outer lock is released, nor a try", async () => {
    const { clock, locks } = detecting();
    const holding = locks.withLock("b", async () => {
      await clock.sleep(50);
      expect(await locks.tryLock("a")).toBeUndefined();
    });
    const waiting = locks.withLock("a", async (a) => {
      await clock.sleep(1);
      const detached = locks.withLock("b", { detached: true }, () => "b");
      await clock.sleep(60);
      expect(await detached).toBe("b");
      await a.unlock();
      return locks.withLock("b", () => "b again");
    });
    expect(await clock.until(waiting)).toBe("b again");
    await clock.until(holding);
  });

  test("is a semaphore with several holders, any of whom may free a place", async () => {
    const { clock, locks } = detecting();
    const gpu: LockOptions = { mode: "shared", limit: 2 };
    const third = locks.withLock("gpu", gpu, () => clock.sleep(100));
    const one = locks.withLock("gpu", gpu, () => clock.sleep(10).then(() => locks.withLock("m", () => {})));
    const two = locks.withLock("m", () => clock.sleep(20).then(() => locks.withLock("gpu", gpu, () => clock.sleep(1))));
    expect(await clock.until(outcomes([third, one, two]))).toEqual(["done", "done", "done"]);
  });

  test("is a semaphore's line, though a writer stands behind it", async () => {
    const { clock, locks } = detecting();
    const gpu: LockOptions = { mode: "shared", limit: 2 };
    const freeing = locks.withLock("gpu", gpu, () => clock.sleep(100));
    const one = locks.withLock("gpu", gpu, () => clock.sleep(30).then(() => locks.withLock("m", () => {})));
    const two = locks.withLock("m", () => clock.sleep(10).then(() => locks.withLock("gpu", gpu, () => clock.sleep(1))));
    const writer = clock.sleep(20).then(() => locks.withLock("gpu", () => {}));
    expect(await clock.until(outcomes([freeing, one, two, writer]))).toEqual(["done", "done", "done", "done"]);
  });

  test("is closed by one who has released, or lost, what the other asks for", async () => {
    for (const ending of ["released", "lost"]) {
      const { clock, driver, locks } = detecting();
      const one = locks.withLock("a", { autoRenew: false, ttlMs: 1_000 }, async (a) => {
        if (ending === "released") await a.unlock();
        else driver.table.drop("a");
        await locks.withLock("b", () => {});
      });
      const two = locks.withLock("b", () => clock.sleep(1_500).then(() => locks.withLock("a", () => {})));
      expect(await clock.until(outcomes([one, two]))).toEqual([ending === "released" ? "done" : "DLOCK_LOST", "done"]);
    }
  });

  test("is closed by a try, which is refused instead", async () => {
    const { clock, locks } = detecting();
    const reader: LockOptions = { mode: "shared" };
    const one = locks.withLock("data", reader, () => clock.sleep(20).then(() => locks.withLock("m", () => {})));
    const writer = clock.sleep(5).then(() => locks.withLock("data", () => {}));
    const trying = locks.withLock("m", async () => {
      await clock.sleep(30);
      return (await locks.tryLock("data", { mode: "shared" })) === undefined;
    });
    expect(await clock.until(trying)).toBe(true);
    expect(await clock.until(outcomes([one, writer]))).toEqual(["done", "done"]);
  });

  test("comes from any tasks that take their keys in one order", async () => {
    const taking = fc.uniqueArray(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 4 });
    const task = fc.record({
      keys: taking,
      shared: fc.array(fc.boolean(), { minLength: 6, maxLength: 6 }),
      start: fc.nat(20),
      hold: fc.nat(5),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(task, { minLength: 2, maxLength: 12 }), async (tasks) => {
        const { clock, driver, locks } = detecting();
        const told = record(locks, "deadlock");
        const nest = (keys: readonly number[], shared: readonly boolean[], hold: number): Promise<void> => {
          const [key, ...more] = keys;
          if (key === undefined) return clock.sleep(hold);
          return locks.withLock(`key-${key}`, { mode: shared[key] === true ? "shared" : "exclusive" }, async () => {
            await clock.sleep(hold);
            await nest(more, shared, hold);
          });
        };
        const running = tasks.map(async ({ keys, shared, start, hold }) => {
          await clock.sleep(start);
          await nest([...keys].sort(), shared, hold);
        });
        expect(new Set(await clock.until(outcomes(running)))).toEqual(new Set(["done"]));
        expect(told).toEqual([]);
        expect(driver.table.size).toBe(0);
      }),
      { numRuns: 80 },
    );
  });

  test("is left standing by any tasks that take their keys in any order: each ends well or with DeadlockError, long before its patience", async () => {
    const task = fc.record({
      keys: fc.uniqueArray(fc.integer({ min: 0, max: 3 }), { minLength: 2, maxLength: 4 }),
      start: fc.nat(10),
      hold: fc.nat(5),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(task, { minLength: 2, maxLength: 8 }), async (tasks) => {
        const { clock, driver, locks } = detecting();
        const nest = ([key, ...more]: readonly number[], hold: number): Promise<void> =>
          key === undefined ? clock.sleep(hold) : locks.withLock(`key-${key}`, () => clock.sleep(hold).then(() => nest(more, hold)));
        const running = tasks.map(({ keys, start, hold }) => clock.sleep(start).then(() => nest(keys, hold)));
        const came = await clock.until(outcomes(running));
        for (const each of came) expect(["done", "DLOCK_DEADLOCK"]).toContain(each);
        expect(came).toContain("done");
        expect(clock.now()).toBeLessThan(5_000);
        expect(driver.table.size).toBe(0);
        expect(locks.stats()).toMatchObject({ active: 0, waiting: 0 });
      }),
      { numRuns: 80 },
    );
  });
});

describe("an inversion of the order of two locks", () => {
  const inOrder = (locks: LockProvider, outer: string, inner: string) => locks.withLock(outer, () => locks.withLock(inner, () => {}));

  test("is told once, with both places, though nobody ever waited", async () => {
    const { clock, locks } = detecting();
    const told = record(locks, "deadlock");
    const forth = () => inOrder(locks, "a", "b");
    const back = async () => inOrder(locks, "b", "a");
    for (let i = 0; i < 3; i++) {
      await clock.until(forth());
      await clock.until(back());
    }
    expect(told).toHaveLength(1);
    expect(told[0]).toMatchObject({ kind: "inversion", keys: ["b", "a"] });
    const [now, before] = told[0]?.where ?? [];
    expect(now).toMatch(/deadlock\.test\.ts:\d+:\d+/);
    expect(before).toMatch(/deadlock\.test\.ts:\d+:\d+/);
  });

  test("is seen through locks in between, and for lockAll", async () => {
    const { clock, locks } = detecting();
    const told = record(locks, "deadlock");
    await clock.until(locks.withLock("a", () => locks.withLock("x", () => locks.withLock("b", () => {}))));
    await clock.until(inOrder(locks, "b", "a"));
    await clock.until(inOrder(locks, "c", "d"));
    await clock.until(locks.withLock("d", async () => (await locks.lockAll(["c", "e"])).unlock()));
    expect(told.map(({ kind, keys }) => [kind, ...keys])).toEqual([
      ["inversion", "b", "a"],
      ["inversion", "d", "c"],
    ]);
  });

  test("is not told of one order, of a try, of a detached task, of re-entry, nor of a lock that is released already", async () => {
    const { clock, locks } = detecting();
    const told = record(locks, "deadlock");
    await clock.until(inOrder(locks, "a", "b"));
    await clock.until(inOrder(locks, "a", "b"));
    await clock.until(
      locks.withLock("b", async (b) => {
        await locks.tryWithLock("a", () => {});
        await locks.withLock("a", { detached: true }, () => {});
        await locks.withLock("b", { reentrant: true }, () => {});
        await b.unlock();
        await locks.withLock("a", () => {});
      }),
    );
    expect(told).toEqual([]);
  });
});

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

test("nothing of a key is kept when it is free: execution ids are used once", async () => {
  const { clock, driver, locks } = detecting();
  const use = async (from: number, to: number) => {
    for (let i = from; i < to; i++) await clock.until(locks.withLock(`${i}-${"x".repeat(200)}`, () => {}));
    driver.calls.length = 0;
    driver.table.sweep();
    collect();
    return process.memoryUsage().heapUsed;
  };
  const before = await use(0, 1_000);
  const after = await use(1_000, 11_000);
  expect(after - before).toBeLessThan(1_000_000); // The keys alone are twice that.
});

test("nothing of a lock, a wait or a victim is kept when all are done", async () => {
  const { clock, locks } = detecting();
  const kept: WeakRef<object>[] = [];
  const keep = (thing: object) => void kept.push(new WeakRef(thing));
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  const way = async (mine: string, other: string) => {
    await locks.withLock(mine, async (outer: Lock) => {
      keep(outer);
      await turn();
      await locks.withLock(other, (inner: Lock) => keep(inner)).catch((error: object) => keep(error));
    });
  };
  for (let i = 0; i < 20; i++) await clock.until(Promise.all([way(`a${i}`, `b${i}`), way(`b${i}`, `a${i}`)]));
  const timingOut = locks.withLock("held", async () => {
    const waiting = errorOf(locks.lock("held", { detached: true, waitMs: 1 }));
    const nested = await errorOf(locks.withLock("other", () => locks.lock("held")));
    expect(nested).toBeInstanceOf(DeadlockError);
    expect(await waiting).toBeInstanceOf(LockTimeoutError);
  });
  await clock.until(timingOut);
  expect(kept.length).toBeGreaterThan(60);
  await turn();
  collect();
  await turn();
  collect();
  expect(kept.filter((each) => each.deref() !== undefined)).toHaveLength(0);
});
