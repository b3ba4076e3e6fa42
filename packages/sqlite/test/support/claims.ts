/** Single claims with defaults, and verdicts without the wrapping. */
import type { AcquireClaim, AcquireResult, LockDriver } from "@dlock/core";

export const call = { timeoutMs: 5_000 };

type Wish = Partial<AcquireClaim> & { key: string; owner: string };

/** The outcome; throws the DriverError if that is what it is. */
export async function acquire(driver: LockDriver, wish: Wish, timeoutMs = call.timeoutMs): Promise<AcquireResult> {
  const [outcome] = await driver.acquire([{ ttlMs: 60_000, mode: "exclusive", ...wish }], { timeoutMs });
  if (outcome instanceof Error) throw outcome;
  return outcome as AcquireResult;
}

/** The token of a grant; throws when refused. */
export async function grant(driver: LockDriver, wish: Wish): Promise<bigint> {
  const result = await acquire(driver, wish);
  if (!result.acquired) throw new Error(`${wish.key} is held by ${result.holder?.owner}`);
  return result.token;
}

export async function extend(driver: LockDriver, key: string, owner: string, token: bigint, ttlMs = 60_000) {
  const [outcome] = await driver.extend([{ key, owner, token, ttlMs, longestMs: ttlMs }], call);
  return outcome;
}

export async function release(driver: LockDriver, key: string, owner: string, token?: bigint) {
  const [outcome] = await driver.release([token === undefined ? { key, owner } : { key, owner, token }], call);
  return outcome;
}

/** The DriverError a call rejects with or answers with. */
export async function faultOf(answer: Promise<unknown>): Promise<unknown> {
  return answer.then(
    (value) => (Array.isArray(value) ? value[0] : value),
    (error: unknown) => error,
  );
}
