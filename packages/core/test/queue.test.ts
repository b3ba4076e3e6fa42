/** A queue on the server (R13): who asks for a place, keeps it alive, and gives it back. */
import { describe, expect, test } from "vitest";
import { fixedInterval } from "../src/index.ts";
import { errorOf, scenario } from "./support/scenario.ts";

const queueing = { capabilities: { queue: true } };

describe("a place in the server's queue", () => {
  test("is asked for by who waits, where the backend offers one", async () => {
    const { clock, driver, locks } = scenario({}, queueing);
    await clock.until(locks.lock("a"));
    await clock.until(locks.lock("b", { queue: false }));
    await clock.until(locks.tryLock("c"));
    await clock.until(locks.lock("d", { owner: "me" }));
    expect(driver.claimsOf("acquire").map(({ key, queue }) => [key, queue])).toEqual([
      ["a", true],
      ["b", undefined],
      ["c", undefined],
      ["d", undefined],
    ]);
    const plain = scenario();
    await plain.clock.until(plain.locks.lock("a"));
    expect(plain.driver.claimsOf("acquire")[0]?.queue).toBeUndefined();
  });

  test("is asked for again within a third of the TTL, so that it does not run out", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 9_000, retry: fixedInterval(1_000_000), waitMs: 30_000 }, queueing);
    driver.table.occupy("a", 600_000);
    await errorOf(clock.until(locks.lock("a")));
    const asked = driver.of("acquire").map((call) => call.at);
    const gaps = asked.slice(1).map((at, index) => at - (asked[index] as number));
    expect(Math.max(...gaps)).toBeLessThanOrEqual(3_000);
    expect(new Set(driver.claimsOf("acquire").map((claim) => claim.owner)).size).toBe(1);
  });

  test.each(["time-out", "abort", "close"])("is given back by owner after a %s", async (end) => {
    const { clock, driver, locks } = scenario({}, queueing);
    driver.table.occupy("a", 600_000);
    const controller = new AbortController();
    const ended = errorOf(locks.lock("a", { waitMs: 1_000, signal: controller.signal }));
    await clock.advance(500);
    if (end === "abort") controller.abort();
    if (end === "close") await clock.until(locks.close());
    await clock.until(ended);
    await clock.advance(10);
    const [claim] = driver.claimsOf("acquire");
    expect(driver.claimsOf("release")).toEqual([{ key: "a", owner: claim?.owner }]);
    await clock.advance(60_000);
    expect(driver.claimsOf("release")).toHaveLength(1); // One answer is enough.
    expect(clock.pending).toBe(0);
  });

  test("is given back when the lock comes by hand-off", async () => {
    const { clock, driver, locks } = scenario({ handOff: { maxMs: 10_000 } }, queueing);
    const shared = { mode: "shared", limit: 2 } as const;
    driver.table.occupy("a", 600_000, "other", "shared");
    const first = await clock.until(locks.lock("a", shared));
    const waiting = locks.lock("a", { ...shared, waitMs: 60_000 });
    await clock.advance(1_000);
    const place = driver.claimsOf("acquire").at(-1)?.owner;
    expect(place).not.toBe(driver.claimsOf("acquire")[0]?.owner);
    await clock.until(first.unlock());
    const second = await clock.until(waiting);
    expect(locks.stats().handOffs).toBe(1);
    expect(second.isHeld).toBe(true);
    await clock.advance(10);
    expect(driver.claimsOf("release")).toEqual([{ key: "a", owner: place }]);
  });
});
