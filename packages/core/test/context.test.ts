/** What a context knows of its locks: the present one by key, re-entry, and waits that its own holds would never let end. */
import { describe, expect, test } from "vitest";
import { DeadlockError, type Lock, LockTimeoutError } from "../src/index.ts";
import { errorOf, record, scenario, watchPromise } from "./support/scenario.ts";
import { slow } from "./support/scripted-driver.ts";

describe("currentLock", () => {
  test("is the innermost lock on the key that withLock or tryWithLock has taken around this code", async () => {
    const { clock, locks } = scenario();
    expect(locks.currentLock("a")).toBeUndefined();
    const seen: (Lock | undefined)[] = [];
    await clock.until(
      locks.withLock("a", async (outer) => {
        await clock.sleep(1);
        await locks.tryWithLock("b", async (b) => {
          await clock.sleep(1);
          await locks.withLock("a", { reentrant: true }, async (inner) => {
            await Promise.resolve();
            seen.push(locks.currentLock("a"), inner, locks.currentLock("b"), b);
          });
          seen.push(locks.currentLock("a"), outer);
        });
        expect(locks.currentLock("b")).toBeUndefined();
      }),
    );
    expect(seen[0]).toBe(seen[1]);
    expect(seen[2]).toBe(seen[3]);
    expect(seen[4]).toBe(seen[5]);
    expect(locks.currentLock("a")).toBeUndefined();
  });

  test("unlocks the right one by key, and leaves the other", async () => {
    const { clock, driver, locks } = scenario();
    await clock.until(
      locks.withLock("a", () =>
        locks.withLock("b", async () => {
          await clock.sleep(1);
          expect(await locks.currentLock("a")?.unlock()).toBe(true);
          expect(driver.table.keys()).toEqual(["b"]);
          expect(locks.currentLock("a")?.isHeld).toBe(false);
          expect(locks.currentLock("b")?.isHeld).toBe(true);
        }),
      ),
    );
    expect(driver.table.size).toBe(0);
  });

  test("is each branch's own under Promise.all", async () => {
    const { clock, locks } = scenario();
    const branch = (key: string, ms: number) =>
      locks.withLock(key, async (lock) => {
        for (let turn = 0; turn < 5; turn++) {
          await clock.sleep(ms);
          expect(locks.currentLock(key)).toBe(lock);
          for (const other of ["a", "b", "c"]) if (other !== key) expect(locks.currentLock(other)).toBeUndefined();
        }
      });
    await clock.until(Promise.all([branch("a", 2), branch("b", 3), branch("c", 5)]));
  });

  test("of one provider is not the other's, though the key be the same", async () => {
    const { clock, locks, another } = scenario();
    const other = another();
    const body = async () => {
      expect(other.locks.currentLock("a")).toBeUndefined();
      expect(await errorOf(other.locks.lock("a", { waitMs: 5 }))).toBeInstanceOf(LockTimeoutError);
      expect(await other.locks.tryLock("a", { reentrant: true })).toBeUndefined();
    };
    await clock.until(locks.withLock("a", body));
  });

  test("is not set by lock and tryLock, whose end no context knows", async () => {
    const { clock, locks } = scenario();
    await clock.until(locks.lock("a"));
    await clock.until(locks.tryLock("b"));
    expect(locks.currentLock("a")).toBeUndefined();
    expect(locks.currentLock("b")).toBeUndefined();
  });

  test("is unknown to a detached body, and its own lock is known there", async () => {
    const { clock, locks } = scenario();
    await clock.until(
      locks.withLock("a", () =>
        locks.withLock("b", { detached: true }, (lock) => {
          expect(locks.currentLock("a")).toBeUndefined();
          expect(locks.currentLock("b")).toBe(lock);
        }),
      ),
    );
  });
});

describe("reentrant", () => {
  test("counts the holds of one context, asks the server once, and frees with the last", async () => {
    const { clock, driver, locks } = scenario();
    const held: number[] = [];
    const nest = (depth: number): Promise<void> =>
      locks.withLock("a", { reentrant: true }, async () => {
        held.push(driver.table.size);
        if (depth > 1) await nest(depth - 1);
        held.push(driver.table.size);
        expect(locks.stats().active).toBe(6 - depth);
      });
    await clock.until(nest(5));
    expect(held).toEqual(Array.from({ length: 10 }, () => 1));
    expect(driver.table.size).toBe(0);
    expect(driver.of("acquire")).toHaveLength(1);
    expect(driver.of("release")).toHaveLength(1);
    expect(locks.stats()).toMatchObject({ active: 0, unlockCount: 5 });
  });

  test.each(["lock", "tryLock"] as const)("is an acquisition like any other for statistics, events and the log: %s", async (call) => {
    const lines: string[] = [];
    const logger = { debug: () => {}, info: (_: object, message: string) => void lines.push(message), warn: () => {}, error: () => {} };
    const { clock, locks } = scenario({ logger });
    const acquired = record(locks, "acquired");
    const work = locks.withLock("a", async (outer) => {
      await clock.sleep(10);
      // Granted at once, and after a renewal.
      for (const ttlMs of [1_000, 60_000]) {
        const inner = (await locks[call]("a", { reentrant: true, ttlMs })) as Lock;
        expect(acquired.at(-1)).toEqual({ key: "a", owner: outer.owner, token: String(outer.token), waitedMs: 0, handedOff: false });
        await inner.unlock();
      }
    });
    await clock.until(work);
    expect(acquired).toHaveLength(3);
    expect(lines.filter((line) => line === "lock acquired")).toHaveLength(3);
    expect(locks.stats()).toMatchObject({ total: 3, failed: 0, unlockCount: 3, waiting: 0, waitMs: { count: 3 }, successRate: 1 });
  });

  test("gives every hold the same token and owner, and a signal that tells of the loss", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 3_000 });
    const told: string[] = [];
    const work = locks.withLock("a", (outer) =>
      locks.withLock("a", { reentrant: true }, async (inner) => {
        expect([inner.token, inner.owner, inner.mode]).toEqual([outer.token, outer.owner, outer.mode]);
        outer.signal.addEventListener("abort", () => told.push("outer"));
        inner.signal.addEventListener("abort", () => told.push("inner"));
        driver.table.drop("a");
        await clock.sleep(1_100);
      }),
    );
    expect(await errorOf(clock.until(work))).toMatchObject({ code: "DLOCK_LOST", reason: "refused" });
    expect(told.sort()).toEqual(["inner", "outer"]);
  });

  test("keeps others out until the last hold is gone, also when that outlives the outer body", async () => {
    const { clock, driver, locks } = scenario();
    let inner: Lock | undefined;
    await clock.until(
      locks.withLock("a", async () => {
        inner = await locks.lock("a", { reentrant: true });
      }),
    );
    expect(inner?.isHeld).toBe(true);
    expect(driver.table.holders("a")).toHaveLength(1);
    const next = watchPromise(locks.lock("a", { waitMs: 60_000 }));
    await clock.advance(40_000); // Beyond the TTL: it is renewed for the hold that is left.
    expect(next.state).toBe("pending");
    expect(inner?.isHeld).toBe(true);
    expect(await clock.until(inner?.unlock() ?? Promise.reject(new Error("none")))).toBe(true);
    await clock.advance(100);
    expect(next.state).toBe("resolved");
  });

  test("is one holder for siblings under Promise.all in one body: they share the hold and do not exclude each other", async () => {
    const { clock, driver, locks } = scenario();
    let inside = 0;
    let most = 0;
    const sibling = (ms: number) =>
      locks.withLock("a", { reentrant: true }, async () => {
        most = Math.max(most, ++inside);
        await clock.sleep(ms);
        inside--;
        expect(driver.table.size).toBe(1);
      });
    await clock.until(locks.withLock("a", () => Promise.all([sibling(1), sibling(2), sibling(3)])));
    expect(most).toBe(3);
    expect(driver.table.size).toBe(0);
  });

  test("does not join contexts that have nothing to do with each other", async () => {
    const { clock, locks } = scenario();
    let inside = 0;
    const task = () =>
      locks.withLock("a", { reentrant: true }, async () => {
        expect(++inside).toBe(1);
        await clock.sleep(1);
        inside--;
      });
    await clock.until(Promise.all([task(), task(), task()]));
  });

  test("is refused with DeadlockError in another mode than that of the hold", async () => {
    const { clock, locks } = scenario();
    const nested = (outer: "exclusive" | "shared", inner: "exclusive" | "shared") =>
      errorOf(clock.until(locks.withLock("a", { mode: outer }, () => locks.lock("a", { mode: inner, reentrant: true }))));
    expect(await nested("exclusive", "shared")).toBeInstanceOf(DeadlockError);
    expect(await nested("shared", "exclusive")).toBeInstanceOf(DeadlockError);
    expect(clock.now()).toBe(0);
  });

  test("takes part through tryLock and tryWithLock too", async () => {
    const { clock, driver, locks } = scenario();
    await clock.until(
      locks.withLock("a", async (outer) => {
        const inner = await locks.tryLock("a", { reentrant: true });
        expect(inner?.token).toBe(outer.token);
        await inner?.unlock();
        expect(await locks.tryWithLock("a", { reentrant: true }, () => 7)).toEqual({ acquired: true, value: 7 });
        expect(outer.isHeld).toBe(true);
      }),
    );
    expect(driver.of("acquire")).toHaveLength(1);
  });

  test("of a semaphore takes no further place", async () => {
    const { clock, driver, locks } = scenario();
    const gpu = { mode: "shared", limit: 1 } as const;
    await clock.until(locks.withLock("gpu", gpu, () => locks.withLock("gpu", { ...gpu, reentrant: true }, () => {})));
    expect(driver.of("acquire")).toHaveLength(1);
  });

  test("waits like anybody when the hold of this context is lost or released", async () => {
    const { clock, driver, locks } = scenario();
    const tokens: bigint[] = [];
    await clock.until(
      locks.withLock("a", async (outer) => {
        await outer.unlock();
        const inner = await locks.lock("a", { reentrant: true });
        tokens.push(outer.token, inner.token);
        await inner.unlock();
      }),
    );
    expect(tokens[1]).toBeGreaterThan(tokens[0] as bigint);
    expect(driver.of("acquire")).toHaveLength(2);
  });

  test("takes no part with an owner of its own, which is another holder", async () => {
    const { clock, locks } = scenario();
    await clock.until(
      locks.withLock("a", async () => {
        expect(await locks.tryLock("a", { reentrant: true, owner: "me" })).toBeUndefined();
      }),
    );
  });

  test("begins to renew the lease when the inner hold is the first to want that", async () => {
    const { clock, locks } = scenario({ ttlMs: 3_000 });
    await clock.until(
      locks.withLock("a", { autoRenew: false }, async () => {
        await locks.withLock("a", { reentrant: true }, async (inner) => {
          await clock.sleep(10_000);
          expect(inner.isHeld).toBe(true);
        });
      }),
    );
  });
});

describe("a reentrant hold that asks for more than what is left of the lease", () => {
  test.each(["lock", "tryLock"] as const)("has it renewed first, with %s", async (call) => {
    const { clock, driver, locks } = scenario();
    await clock.until(
      locks.withLock("a", { ttlMs: 1_000, autoRenew: false }, async (outer) => {
        const inner = (await locks[call]("a", { reentrant: true, ttlMs: 60_000, autoRenew: false })) as Lock;
        expect(inner.remainingMs).toBeGreaterThan(59_000);
        expect(inner.token).toBe(outer.token);
        await inner.unlock();
      }),
    );
    expect(driver.of("acquire")).toHaveLength(1);
    expect(driver.table.size).toBe(0);
  });

  test("waits like anybody when the outer one lets go meanwhile and the next in line gets the lease", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 10_000, autoRenew: false });
    driver.next("extend", slow(5, 5));
    const { inner, next } = await clock.until(
      locks.withLock("a", async (outer) => {
        const inner = watchPromise(locks.lock("a", { reentrant: true, ttlMs: 60_000 }));
        const next = watchPromise(locks.lock("a", { detached: true }));
        await outer.unlock();
        return { inner, next };
      }),
    );
    await clock.advance(100);
    expect(next.state).toBe("resolved");
    expect(locks.stats().handOffs).toBe(1);
    expect(inner.state).toBe("pending");
    await clock.until(next.value?.unlock() as Promise<boolean>);
    await clock.advance(100);
    expect(inner.value?.token).toBeGreaterThan(next.value?.token as bigint);
    await clock.until(inner.value?.unlock() as Promise<boolean>);
    expect(driver.table.size).toBe(0);
  });

  test("leaves the next in line with no longer a TTL than that one asked for", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 1_000 });
    const line: Promise<Lock>[] = [];
    await clock.until(
      locks.withLock("a", async () => {
        const inner = await locks.lock("a", { reentrant: true, ttlMs: 60_000 });
        line.push(locks.lock("a", { detached: true }));
        await inner.unlock();
      }),
    );
    const next = await clock.until(line[0] as Promise<Lock>);
    expect(locks.stats().handOffs).toBe(1);
    await clock.advance(120_000);
    expect(next.isHeld).toBe(true);
    expect(driver.table.holders("a")[0]?.remainingMs).toBeLessThanOrEqual(1_000);
  });
});

describe("maxHoldMs of an inner hold", () => {
  test("gives the lease up, and is no bound any more once that hold is over", async () => {
    const { clock, locks } = scenario();
    await clock.until(
      locks.withLock("a", async (outer) => {
        await locks.withLock("a", { reentrant: true, maxHoldMs: 1_000 }, () => clock.sleep(999));
        await clock.sleep(60_000);
        expect(outer.isHeld).toBe(true);
      }),
    );
    const error = await errorOf(
      clock.until(locks.withLock("a", () => locks.withLock("a", { reentrant: true, maxHoldMs: 1_000 }, () => clock.sleep(1_001)))),
    );
    expect(error).toMatchObject({ code: "DLOCK_LOST", reason: "max-hold" });
  });
});

describe("a wait for what this very context holds", () => {
  test("is a DeadlockError at once, says who holds it and inside of what, and leaves the hold as it is", async () => {
    const { clock, driver, locks } = scenario();
    const error = await clock.until(
      locks.withLock("a", () =>
        locks.withLock("b", async (b) => {
          const refused = await errorOf(locks.lock("b", { waitMs: 60_000 }));
          expect((refused as Error).message).toContain(b.owner);
          expect(b.isHeld).toBe(true);
          return refused;
        }),
      ),
    );
    expect(clock.now()).toBe(0);
    expect(error).toBeInstanceOf(DeadlockError);
    expect(error).toMatchObject({ code: "DLOCK_DEADLOCK", key: "b" });
    expect((error as Error).message).toMatch(/"b" .*inside of "a".*reentrant: true.*detached: true/);
    expect(driver.claimsOf("acquire").map(({ key }) => key)).toEqual(["a", "b"]);
  });

  test("names the line where it was taken, with detectDeadlocks", async () => {
    const { clock, locks } = scenario({ detectDeadlocks: true });
    const takeHere = () => locks.withLock("a", () => locks.withLock("b", () => locks.lock("a")));
    const error = (await errorOf(clock.until(takeHere()))) as Error;
    expect(error).toBeInstanceOf(DeadlockError);
    expect(error.message).toMatch(/taken at .*takeHere .*context\.test\.ts:\d+:\d+/);
  });

  test("is told of through any depth and any await, for withLock and lockAll too", async () => {
    const { clock, locks } = scenario();
    await clock.until(
      locks.withLock("a", () =>
        locks.withLock("b", async () => {
          await clock.sleep(5);
          expect(await errorOf(locks.withLock("a", () => {}))).toBeInstanceOf(DeadlockError);
          expect(await errorOf(locks.lockAll(["c", "a"]))).toBeInstanceOf(DeadlockError);
        }),
      ),
    );
    expect(clock.now()).toBe(5);
  });

  test("is no matter for tryLock and waitMs: 0, which do not wait", async () => {
    const { clock, locks } = scenario();
    await clock.until(
      locks.withLock("a", async () => {
        expect(await locks.tryLock("a")).toBeUndefined();
        expect(await locks.tryWithLock("a", () => 1)).toMatchObject({ acquired: false });
        expect(await errorOf(locks.lock("a", { waitMs: 0 }))).toMatchObject({ code: "DLOCK_NOT_ACQUIRED" });
        expect(await errorOf(locks.lockAll(["a", "b"], { waitMs: 0 }))).toMatchObject({ code: "DLOCK_NOT_ACQUIRED" });
      }),
    );
    expect(clock.now()).toBe(0);
  });

  test("is allowed once the outer lock is released", async () => {
    const { clock, locks } = scenario();
    await clock.until(
      locks.withLock("a", async (outer) => {
        await outer.unlock();
        await (await locks.lock("a")).unlock();
      }),
    );
  });
});

describe("detached", () => {
  test("lets a task that outlives the body wait for the very key, and get it afterwards", async () => {
    const { clock, locks } = scenario();
    let task: Promise<string> | undefined;
    await clock.until(
      locks.withLock("a", async () => {
        task = locks.withLock("a", { detached: true }, async () => "ran");
        await clock.sleep(100);
      }),
    );
    expect(await clock.until(task ?? Promise.reject(new Error("none")))).toBe("ran");
    expect(clock.now()).toBeGreaterThanOrEqual(100);
  });

  test("covers what the task's own body takes", async () => {
    const { clock, locks } = scenario();
    let task: Promise<string> | undefined;
    await clock.until(
      locks.withLock("a", async () => {
        task = locks.withLock("b", { detached: true }, () => locks.withLock("a", async () => "ran"));
        await clock.sleep(100);
      }),
    );
    expect(await clock.until(task ?? Promise.reject(new Error("none")))).toBe("ran");
  });

  test("takes part in no hold, be it reentrant or shared", async () => {
    const { clock, driver, locks } = scenario();
    await clock.until(
      locks.withLock("a", async () => {
        expect(await locks.tryLock("a", { reentrant: true, detached: true })).toBeUndefined();
      }),
    );
    await clock.until(
      locks.withLock("r", { mode: "shared" }, async () => {
        const own = await locks.lock("r", { mode: "shared", detached: true });
        expect(driver.table.holders("r")).toHaveLength(2);
        await own.unlock();
      }),
    );
  });
});

describe("shared locks inside each other", () => {
  test("do not throw, and go on though a writer waits in between", async () => {
    const { clock, locks } = scenario();
    const order: string[] = [];
    const read = (body: () => Promise<void>) => locks.withLock("a", { mode: "shared" }, body);
    const reading = read(async () => {
      const writing = locks.withLock("a", { detached: true }, () => order.push("written"));
      await clock.sleep(10); // The writer stands in line by now.
      await read(async () => void order.push("read"));
      expect(await locks.tryWithLock("a", { mode: "shared" }, () => order.push("tried"))).toMatchObject({ acquired: true });
      void writing;
    });
    await clock.until(reading);
    await clock.advance(100);
    expect(order).toEqual(["read", "tried", "written"]);
  });

  test("of a semaphore take a place each, up to its limit; one more would wait for itself", async () => {
    const { clock, driver, locks } = scenario();
    const nest = (depth: number, limit: number): Promise<number> =>
      locks.withLock("gpu", { mode: "shared", limit }, () => (depth === 1 ? Promise.resolve(driver.table.size) : nest(depth - 1, limit)));
    expect(await clock.until(nest(3, 3))).toBe(3);
    expect(await errorOf(clock.until(nest(4, 3)))).toBeInstanceOf(DeadlockError);
    expect(clock.now()).toBe(0);
    expect(driver.table.size).toBe(0);
  });

  test("of a semaphore with a free place give it to tryLock, and undefined without one", async () => {
    const { clock, locks } = scenario();
    const gpu = { mode: "shared", limit: 2 } as const;
    await clock.until(
      locks.withLock("gpu", gpu, async () => {
        const second = await locks.tryLock("gpu", gpu);
        expect(second?.isHeld).toBe(true);
        expect(await locks.tryLock("gpu", gpu)).toBeUndefined();
        await second?.unlock();
      }),
    );
  });
});
