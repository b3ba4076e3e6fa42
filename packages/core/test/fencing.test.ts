/** Guards: what they accept, how tokens compare, and each way to use one wrongly. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compareTokens, fenceOf, type Lock, LockLostError, LockNotHeldError, MemoryGuard } from "../src/index.ts";
import { scenario } from "./support/scenario.ts";

/** What a guard must refuse, each with a lock that was good before. */
const misuses: [string, (stage: ReturnType<typeof scenario>) => Promise<unknown>, typeof TypeError | typeof LockNotHeldError][] = [
  ["a shared lock", ({ clock, locks }) => clock.until(locks.lock("a", { mode: "shared" })), TypeError],
  ["a place of a semaphore, even of one", ({ clock, locks }) => clock.until(locks.lock("a", { mode: "shared", limit: 1 })), TypeError],
  ["several locks at once", ({ clock, locks }) => clock.until(locks.lockAll(["a", "b"])), TypeError],
  ["nothing, as tryLock returns when refused", async () => undefined, TypeError],
  ["a token alone", async ({ clock, locks }) => (await clock.until(locks.lock("a"))).token, TypeError],
  [
    "a lock that is released",
    async ({ clock, locks }) => {
      const lock = await clock.until(locks.lock("a"));
      await clock.until(lock.unlock());
      return lock;
    },
    LockNotHeldError,
  ],
  [
    "a lock whose release is under way",
    async ({ clock, locks }) => {
      const lock = await clock.until(locks.lock("a"));
      void lock.unlock();
      return lock;
    },
    LockNotHeldError,
  ],
  [
    "a lock that is lost, before any timer could say so",
    async ({ clock, locks }) => {
      const lock = await clock.until(locks.lock("a", { ttlMs: 1_000 }));
      clock.jump(1_000);
      return lock;
    },
    LockNotHeldError,
  ],
];

describe("fenceOf", () => {
  test("gives the key, the token people see, and the one the backend's record has", async () => {
    const { clock, driver, locks } = scenario();
    const lock = await clock.until(locks.lock("a"));
    const [holder] = driver.table.holders("a");
    expect(fenceOf(lock)).toEqual({ key: "a", token: lock.token, serverToken: holder?.token });
  });

  test("gives holders that a lease was handed on to the same record and each a token of its own", async () => {
    const { clock, driver, locks } = scenario();
    const take = () => locks.withLock("a", async (lock) => fenceOf(lock));
    const [first, second] = await clock.until(Promise.all([take(), take()]));
    expect(driver.of("acquire")).toHaveLength(1);
    expect(second?.serverToken).toBe(first?.serverToken);
    expect(second?.token).toBeGreaterThan(first?.token as bigint);
  });

  test.each(misuses)("refuses %s", async (_, make, type) => {
    const lock = (await make(scenario())) as Lock;
    expect(() => fenceOf(lock)).toThrow(type);
  });
});

describe("compareTokens", () => {
  test("orders decimal strings as the numbers they stand for, of any length", () => {
    const token = fc.bigInt({ min: 0n, max: 2n ** 63n - 1n });
    fc.assert(
      fc.property(token, token, (one, other) => {
        expect(Math.sign(compareTokens(String(one), String(other)))).toBe(one < other ? -1 : one > other ? 1 : 0);
      }),
    );
    expect(compareTokens("9", "10")).toBeLessThan(0);
    expect(compareTokens("9007199254740993", "9007199254740992")).toBeGreaterThan(0);
    expect(["10", "9", "100", "9"].sort(compareTokens)).toEqual(["9", "9", "10", "100"]);
  });
});

describe("MemoryGuard", () => {
  test("lets each newer holder write, again and again, and gives the write's value", async () => {
    const { clock, locks } = scenario();
    const guard = new MemoryGuard();
    const written: bigint[] = [];
    for (let i = 0; i < 3; i++) {
      await clock.until(
        locks.withLock("a", (lock) => {
          guard.write(lock, () => written.push(lock.token));
          expect(guard.write(lock, () => written.push(lock.token))).toBe(2 * i + 2);
        }),
      );
    }
    expect(written).toHaveLength(6);
  });

  test("refuses a holder whom a newer one has overtaken, and does not run its write", async () => {
    const { clock, driver, locks, another } = scenario();
    const guard = new MemoryGuard();
    const data = new Map<string, string>();
    const stale = await clock.until(locks.lock("a"));
    driver.table.drop("a"); // The server loses it: nobody has told the holder yet.
    const successor = await clock.until(another().locks.lock("a"));
    guard.write(stale, () => data.set("a", "before the successor"));
    guard.write(successor, () => data.set("a", "successor"));
    expect(stale.isHeld).toBe(true);
    const write = () => guard.write(stale, () => data.set("a", "stale"));
    expect(write).toThrow(LockLostError);
    expect(write).toThrow(expect.objectContaining({ key: "a", reason: "fenced", code: "DLOCK_LOST" }));
    expect(data.get("a")).toBe("successor");
    guard.write(successor, () => data.set("a", "successor again"));
  });

  test("refuses the one who handed the lease on, after its successor has written", async () => {
    const { clock, locks } = scenario();
    const guard = new MemoryGuard();
    const first = await clock.until(locks.lock("a"));
    const waiting = locks.lock("a");
    const unlocking = first.unlock();
    const second = await clock.until(waiting);
    await unlocking;
    guard.write(second, () => {});
    expect(() => guard.write(first, () => {})).toThrow(LockNotHeldError);
    expect(second.token).toBeGreaterThan(first.token);
  });

  test("keeps keys apart, and forgets one when told", async () => {
    const { clock, driver, locks, another } = scenario();
    const guard = new MemoryGuard();
    const a = await clock.until(locks.lock("a"));
    const b = await clock.until(locks.lock("b"));
    guard.write(b, () => {});
    expect(guard.write(a, () => "a")).toBe("a"); // Older than b's, and of another key.
    driver.table.drop("a");
    const successor = await clock.until(another().locks.lock("a"));
    guard.write(successor, () => {});
    expect(() => guard.write(a, () => {})).toThrow(LockLostError);
    guard.forget("a");
    expect(guard.write(a, () => "forgotten")).toBe("forgotten");
  });

  test("counts a write that throws: who knows how much of it was done", async () => {
    const { clock, driver, locks, another } = scenario();
    const guard = new MemoryGuard();
    const stale = await clock.until(locks.lock("a"));
    driver.table.drop("a");
    const successor = await clock.until(another().locks.lock("a"));
    const broken = new Error("half done");
    const failing = () => {
      throw broken;
    };
    expect(() => guard.write(successor, failing)).toThrow(broken);
    expect(() => guard.write(stale, () => {})).toThrow(LockLostError);
  });

  test.each(misuses)("refuses %s, and does not run its write", async (_, make, type) => {
    const lock = (await make(scenario())) as Lock;
    let runs = 0;
    expect(() => new MemoryGuard().write(lock, () => runs++)).toThrow(type);
    expect(runs).toBe(0);
  });

  test("refuses an async function without running it: a newer holder could write while it waits", async () => {
    const { clock, locks } = scenario();
    const lock = await clock.until(locks.lock("a"));
    let runs = 0;
    const write = async () => {
      runs++;
    };
    expect(() => new MemoryGuard().write(lock, write)).toThrow(TypeError);
    expect(() => new MemoryGuard().write(lock, write)).toThrow(/synchronous/);
    expect(runs).toBe(0);
  });

  test("refuses a write that returns a promise, and leaves none of its rejections unhandled", async () => {
    const { clock, locks } = scenario();
    const lock = await clock.until(locks.lock("a"));
    const unhandled: unknown[] = [];
    const note = (error: unknown) => unhandled.push(error);
    process.on("unhandledRejection", note);
    expect(() => new MemoryGuard().write(lock, () => Promise.reject(new Error("later")))).toThrow(TypeError);
    await new Promise((resolve) => setImmediate(resolve));
    process.off("unhandledRejection", note);
    expect(unhandled).toEqual([]);
  });

  test("refuses what is no function, and takes that for no write", async () => {
    const { clock, driver, locks, another } = scenario();
    const guard = new MemoryGuard();
    const older = await clock.until(locks.lock("a"));
    driver.table.drop("a");
    const newer = await clock.until(another().locks.lock("a"));
    expect(() => guard.write(newer, "data" as never)).toThrow(TypeError);
    expect(guard.write(older, () => "written")).toBe("written");
  });
});
