/** `singleflight`: one call in flight for a key in this process, shared by whoever asks meanwhile. */
import { describe, expect, test } from "vitest";
import { DeadlockError, type Lock, LockTimeoutError } from "../src/index.ts";
import { errorOf, scenario, watchPromise } from "./support/scenario.ts";

describe("singleflight", () => {
  test("calls once for all who ask while it runs, and gives each its value", async () => {
    const { clock, driver, locks } = scenario();
    let calls = 0;
    const fetch = async () => {
      await clock.sleep(10);
      return { quote: ++calls };
    };
    const values = await clock.until(Promise.all(Array.from({ length: 50 }, () => locks.singleflight("q", fetch))));
    expect(calls).toBe(1);
    expect(new Set(values).size).toBe(1);
    expect(driver.calls).toEqual([]);
  });

  test("keeps nothing: whoever asks after the end calls anew", async () => {
    const { clock, locks } = scenario();
    let calls = 0;
    expect(await clock.until(locks.singleflight("q", () => ++calls))).toBe(1);
    expect(await clock.until(locks.singleflight("q", () => ++calls))).toBe(2);
    expect(await errorOf(locks.singleflight("q", () => Promise.reject(new Error("once"))))).toMatchObject({ message: "once" });
    expect(await clock.until(locks.singleflight("q", () => ++calls))).toBe(3);
  });

  test("gives each the error, also that of a call that throws before it awaits anything", async () => {
    const { clock, locks } = scenario();
    const broken = new Error("broken");
    let calls = 0;
    const later = () => clock.sleep(5).then(() => Promise.reject(broken));
    const atOnce = () => {
      calls++;
      throw broken;
    };
    const three = (call: () => Promise<never>) => Promise.all([1, 2, 3].map(() => errorOf(locks.singleflight("q", call))));
    expect(await clock.until(three(later))).toEqual([broken, broken, broken]);
    expect(await clock.until(three(atOnce))).toEqual([broken, broken, broken]);
    expect(calls).toBe(1);
  });

  test("keeps keys apart, and providers", async () => {
    const { clock, locks, another } = scenario();
    const other = another().locks;
    const asked: string[] = [];
    const ask = (from: typeof locks, key: string, name: string) =>
      from.singleflight(key, () => clock.sleep(1).then(() => asked.push(name)));
    await clock.until(Promise.all([ask(locks, "a", "a"), ask(locks, "b", "b"), ask(other, "a", "other a")]));
    expect(asked).toEqual(["a", "b", "other a"]);
  });

  test("ends the wait of a caller whose signal aborts, and goes on for the others, the first caller's too", async () => {
    const { clock, locks } = scenario();
    const controller = new AbortController();
    const call = () => clock.sleep(10).then(() => "value");
    const first = watchPromise(locks.singleflight("q", call, { signal: controller.signal }));
    const second = watchPromise(locks.singleflight("q", call));
    await clock.advance(5);
    controller.abort("enough");
    await clock.settle();
    expect(first).toMatchObject({ state: "rejected", error: "enough" });
    expect(second.state).toBe("pending");
    await clock.advance(5);
    expect(second).toMatchObject({ state: "resolved", value: "value" });
  });

  test("does not begin for a caller whose signal has aborted already", async () => {
    const { locks } = scenario();
    let calls = 0;
    expect(await errorOf(locks.singleflight("q", () => ++calls, { signal: AbortSignal.abort("no") }))).toBe("no");
    expect(calls).toBe(0);
  });

  test("leaves no rejection unhandled when every caller has gone before the call fails", async () => {
    const { clock, locks } = scenario();
    const unhandled: unknown[] = [];
    const note = (error: unknown) => unhandled.push(error);
    process.on("unhandledRejection", note);
    const controller = new AbortController();
    const gone = errorOf(
      locks.singleflight("q", () => clock.sleep(5).then(() => Promise.reject(new Error("late"))), { signal: controller.signal }),
    );
    controller.abort("gone");
    expect(await gone).toBe("gone");
    await clock.advance(10);
    await new Promise((resolve) => setImmediate(resolve));
    process.off("unhandledRejection", note);
    expect(unhandled).toEqual([]);
  });

  test("is a DeadlockError inside its own call, which would wait for its own end", async () => {
    const { clock, locks } = scenario();
    const itself = () => locks.singleflight("q", () => locks.singleflight("other", () => locks.singleflight("q", () => 1)));
    expect(await errorOf(clock.until(itself()))).toBeInstanceOf(DeadlockError);
    expect(await clock.until(locks.singleflight("q", () => locks.singleflight("other", () => 2)))).toBe(2);
  });

  test("refuses bad arguments", async () => {
    const { clock, locks } = scenario();
    expect(await errorOf(locks.singleflight("", () => 1))).toMatchObject({ code: "DLOCK_INVALID_KEY" });
    expect(await errorOf(locks.singleflight("q", 5 as never))).toBeInstanceOf(TypeError);
    expect(await errorOf(locks.singleflight("q", () => 1, { locks: true } as object))).toBeInstanceOf(TypeError);
    await clock.until(locks.close());
    expect(await errorOf(locks.singleflight("q", () => 1))).toMatchObject({ code: "DLOCK_CLOSED" });
  });
});

describe("singleflight with lock", () => {
  test("holds the distributed lock once for all callers of this process, and frees it", async () => {
    const { clock, driver, locks } = scenario();
    const seen: (Lock | undefined)[] = [];
    const call = async (lock: Lock | undefined) => {
      seen.push(lock);
      expect(driver.table.holders("q")).toHaveLength(1);
      await clock.sleep(10);
      return lock?.token;
    };
    const tokens = await clock.until(Promise.all([1, 2, 3].map(() => locks.singleflight("q", call, { lock: true }))));
    expect(seen).toHaveLength(1);
    expect(new Set(tokens)).toEqual(new Set([seen[0]?.token]));
    expect(driver.of("acquire")).toHaveLength(1);
    expect(driver.table.size).toBe(0);
  });

  test("excludes the calls of other processes", async () => {
    const { clock, locks, another } = scenario();
    const other = another().locks;
    let inside = 0;
    const call = async () => {
      expect(++inside).toBe(1);
      await clock.sleep(10);
      inside--;
    };
    const from = (provider: typeof locks) => [1, 2].map(() => provider.singleflight("q", call, { lock: true }));
    await clock.until(Promise.all([...from(locks), ...from(other)]));
    expect(clock.now()).toBeGreaterThanOrEqual(20);
  });

  test("takes the options of the lock, and each caller gets its error when it is not to be had", async () => {
    const { clock, driver, locks } = scenario();
    driver.table.occupy("q");
    const options = { lock: { waitMs: 50, metadata: "quote" } };
    const errors = await clock.until(Promise.all([1, 2].map(() => errorOf(locks.singleflight("q", () => 1, options)))));
    expect(errors[0]).toBeInstanceOf(LockTimeoutError);
    expect(errors[1]).toBe(errors[0]);
    expect(driver.claimsOf("acquire")[0]).toMatchObject({ metadata: "quote" });
  });
});
