/** Waiting for a lock: what wakes a waiter, and when its wait ends. */
import { describe, expect, test } from "vitest";
import { scenario } from "./support/scenario.ts";

describe("a free key", () => {
  test("is granted with one driver call, sent in the same tick", async () => {
    const { clock, driver, locks } = scenario();
    const pending = locks.lock("a");
    await Promise.resolve();
    await Promise.resolve();
    expect(driver.of("acquire")).toHaveLength(1);
    const lock = await clock.until(pending);
    expect(lock).toMatchObject({ key: "a", mode: "exclusive", isHeld: true, token: 1n << 10n });
    expect(await clock.until(lock.unlock())).toBe(true);
    expect(driver.calls.map((call) => call.operation)).toEqual(["acquire", "release"]);
    expect(driver.table.size).toBe(0);
  });
});
