/** Some seconds with operations at a high rate, and a leak and a failure that must be found. */
import { createLockProvider, driverError, type LockDriver } from "@dlock/core";
import { createMemoryStore, memoryDriver } from "@dlock/memory";
import { expect, test } from "vitest";
import { Churn } from "../src/churn.ts";
import { kinds } from "../src/kinds.ts";
import { soak } from "../src/soak.ts";
import { trendOf } from "../src/trend.ts";

const pace = { sampleEveryMs: 600, rate: 5_000, signal: new AbortController().signal };
const patience = { timeout: 120_000 };
/** In the first seconds the compiler's code and the first sizes of tables come to some bytes for each operation; a leak is more. */
const warmingUp = 3;
const leakBytes = 150;

/** Without its immediate decisions, core asks the driver by its batches, as it does every server. */
function churnOver(change: (driver: LockDriver) => Partial<LockDriver>): Churn {
  const store = createMemoryStore();
  return new Churn(async () => {
    const { immediate: _, ...driver } = memoryDriver({ store });
    return createLockProvider({ ...driver, ...change(driver) });
  }, "soak");
}

test("the heap of a process that takes and gives back locks of all kinds stays where it is", patience, async () => {
  const warnings: Error[] = [];
  const note = (warning: Error) => warnings.push(warning);
  process.on("warning", note);
  const churn = churnOver(() => ({}));
  const samples = await soak(churn, { ...pace, durationMs: 16_000 });
  process.off("warning", note);
  expect(warnings).toEqual([]);
  expect([...churn.counts.keys()].sort()).toEqual(Object.keys(kinds).sort());
  expect(trendOf(samples.slice(warmingUp)).least).toBeLessThan(leakBytes);
});

test("a driver that keeps a little of each claim is found out", patience, async () => {
  const kept: unknown[] = [];
  const churn = churnOver((driver) => ({
    acquire(claims, call) {
      for (const claim of claims) kept.push([...Array(40).keys(), claim]);
      return driver.acquire(claims, call);
    },
  }));
  const samples = await soak(churn, { ...pace, durationMs: 16_000 });
  expect(kept.length).toBeGreaterThan(1_000);
  expect(trendOf(samples.slice(warmingUp)).least).toBeGreaterThan(leakBytes);
});

test("an operation that fails ends the run, and is named", patience, async () => {
  const churn = churnOver((driver) => ({
    acquire: (claims, call) =>
      churn.operations < 100
        ? driver.acquire(claims, call)
        : Promise.reject(driverError("the disk is full", { applied: "no", retryable: false })),
  }));
  await expect(soak(churn, { ...pace, durationMs: 16_000 })).rejects.toThrow(/^[\w' -]+: .*the disk is full/);
});
