// Short words for what the tests ask a driver.
import { inspect } from "node:util";
import { type AcquireClaim, type DriverError, isDriverError, type LockDriver, type Outcome } from "@dlock/core";
import { expect } from "vitest";

export const call = { timeoutMs: 5_000 };
export const ttlMs = 60_000;

export const exclusive = (key: string, owner = "me", more: Partial<AcquireClaim> = {}): AcquireClaim => ({
  key,
  owner,
  ttlMs,
  mode: "exclusive",
  ...more,
});

/** The one outcome of a batch of one. */
export async function only<T>(outcomes: Promise<readonly Outcome<T>[]>): Promise<Outcome<T>> {
  const all = await outcomes;
  expect(all).toHaveLength(1);
  return all[0] as Outcome<T>;
}

/** Takes a key, and fails when it is not granted. */
export async function grant(driver: LockDriver, key: string, owner = "me", more: Partial<AcquireClaim> = {}): Promise<bigint> {
  const outcome = await only(driver.acquire([exclusive(key, owner, more)], call));
  if (isDriverError(outcome)) throw outcome;
  if (!outcome.acquired) throw new Error(`${key} is held by ${outcome.holder?.owner}`);
  return outcome.token;
}

/** Retries what failed and may be retried, as core does, until `ms` have passed. */
export async function persist<T>(ms: number, attempt: () => Promise<Outcome<T>>): Promise<T> {
  const endsAt = performance.now() + ms;
  for (;;) {
    const outcome = await attempt();
    if (!isDriverError(outcome)) return outcome;
    if (!outcome.retryable || performance.now() > endsAt) throw outcome;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** A clear error: kind, words, and no secrets. */
export function expectError(outcome: unknown, expected: { applied: "no" | "unknown"; retryable: boolean; says: RegExp }): DriverError {
  if (!isDriverError(outcome))
    throw new Error(`not an error but ${JSON.stringify(outcome, (_, value) => (typeof value === "bigint" ? `${value}` : value))}`);
  expect(outcome.message).toMatch(expected.says);
  expect({ applied: outcome.applied, retryable: outcome.retryable }).toEqual({ applied: expected.applied, retryable: expected.retryable });
  expect(inspect(outcome, { depth: 9, showHidden: true })).not.toContain("secret");
  return outcome;
}
