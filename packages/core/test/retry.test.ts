/** The retry strategies: which intervals they yield, how often, and that they can be used again. */
import { describe, expect, test } from "vitest";
import { exponentialBackoff, fixedInterval, LockTimeoutError, linearBackoff } from "../src/index.ts";
import { errorOf, scenario } from "./support/scenario.ts";

function take(strategy: Iterable<number>, most: number): number[] {
  const taken: number[] = [];
  for (const interval of strategy) {
    if (taken.length === most) break;
    taken.push(interval);
  }
  return taken;
}

describe("a retry strategy", () => {
  test("of fixed intervals repeats one", () => {
    expect(take(fixedInterval(50), 4)).toEqual([50, 50, 50, 50]);
    expect(take(fixedInterval(50, { maxRetries: 2 }), 10)).toEqual([50, 50]);
    expect(take(fixedInterval(50, { maxRetries: 0 }), 10)).toEqual([]);
  });

  test("of exponential backoff multiplies, up to its cap", () => {
    expect(take(exponentialBackoff(10), 5)).toEqual([10, 20, 40, 80, 160]);
    expect(take(exponentialBackoff(10, { multiplier: 3, capMs: 100 }), 5)).toEqual([10, 30, 90, 100, 100]);
  });

  test("of linear backoff adds, up to its cap", () => {
    expect(take(linearBackoff(10, 5), 4)).toEqual([10, 15, 20, 25]);
    expect(take(linearBackoff(10, 5, { capMs: 18, maxRetries: 3 }), 9)).toEqual([10, 15, 18]);
  });

  test("can be used again, and by several at once", () => {
    const strategy = exponentialBackoff(1, { maxRetries: 3 });
    expect([take(strategy, 9), take(strategy, 9)]).toEqual([
      [1, 2, 4],
      [1, 2, 4],
    ]);
  });

  test("with jitter draws from below the interval, and never above it", () => {
    const draws = [0, 0.5, 0.999];
    const random = () => draws[Math.min(called++, 2)] as number;
    let called = 0;
    expect(take(fixedInterval(100, { jitter: 0.5, random }), 3)).toEqual([100, 75, 50.05]);
    for (const interval of take(exponentialBackoff(100, { jitter: 1 }), 1_000)) {
      expect(interval).toBeGreaterThanOrEqual(0);
      expect(interval).toBeLessThanOrEqual(2 ** 31 - 1);
    }
  });

  test("never ends in a number that is none, however long it runs", () => {
    for (const strategy of [
      exponentialBackoff(0),
      exponentialBackoff(1),
      exponentialBackoff(5, { multiplier: 1_000 }),
      linearBackoff(0, 2 ** 31 - 1),
    ])
      for (const interval of take(strategy, 3_000)) expect(interval >= 0 && interval <= 2 ** 31 - 1).toBe(true);
  });

  test("may be any iterable of milliseconds", async () => {
    const { clock, driver, locks } = scenario();
    driver.table.occupy("a");
    function* mine() {
      yield 5;
      yield 7;
      yield 11;
    }
    expect(await errorOf(clock.until(locks.lock("a", { retry: mine() })))).toBeInstanceOf(LockTimeoutError);
    expect(driver.of("acquire").map((call) => call.at)).toEqual([0, 5, 12, 23]);
  });

  test.each<[string, unknown]>([
    ["whose iterator is none", { [Symbol.iterator]: () => 5 }],
    ["whose iterator has no next", { [Symbol.iterator]: () => ({ next: 5 }) }],
    ["whose iterator answers nothing", { [Symbol.iterator]: () => ({ next: () => undefined }) }],
    ["of words", ["5"]],
    ["of what has no string", [Object.create(null)]],
    ["of symbols", [Symbol("pause")]],
    ["of times that are none", [Number.NaN]],
  ])("%s is refused by name when it is needed, and nothing is held or waits", async (_what, retry) => {
    const { clock, driver, locks } = scenario();
    driver.table.occupy("a");
    const error = await errorOf(clock.until(locks.lock("a", { retry: retry as Iterable<number> })));
    expect(error instanceof TypeError || error instanceof RangeError).toBe(true);
    expect((error as Error).message).toMatch(/^retry must/);
    expect(locks.stats()).toMatchObject({ active: 0, waiting: 0 });
  });
});
