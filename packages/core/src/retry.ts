/** Retry strategies: when to try again when nothing else says so. Any iterable of milliseconds will do; these are the usual ones. */
import { checkKnown, checkNumber } from "./options.js";

export interface RetryOptions {
  /** Effect: how many retries before giving up. Range: 0 to 2^31 − 1. @default no bound (then `waitMs` ends the wait) */
  maxRetries?: number;
  /** Effect: no interval is longer. Unit: ms. Range: 0 to 2^31 − 1. @default no cap */
  capMs?: number;
  /**
   * Effect: each interval is drawn at random from `interval × (1 − jitter)` to `interval`, so that waiters of many processes spread out.
   * Range: 0 to 1. @default 0
   */
  jitter?: number;
  /** Effect: the source of randomness for `jitter`, from 0 up to 1. When: tests. @default Math.random */
  random?: () => number;
}

/** The same interval every time. */
export function fixedInterval(intervalMs: number, options: RetryOptions = {}): Iterable<number> {
  checkNumber("intervalMs", intervalMs, 0);
  return strategy(options, () => intervalMs);
}

/**
 * Each interval `multiplier` times the last: quick at first, easy on the server later.
 *
 * @param options `multiplier`: 1 to 1000, default 2.
 */
export function exponentialBackoff(initialMs: number, options: RetryOptions & { multiplier?: number } = {}): Iterable<number> {
  checkKnown("retry options", options, ["multiplier", ...names]);
  const { multiplier = 2, ...rest } = options;
  checkNumber("initialMs", initialMs, 0);
  checkNumber("multiplier", multiplier, 1, 1_000);
  // Finite, since 0 times infinity is no number.
  return strategy(rest, (retry) => initialMs * Math.min(multiplier ** retry, Number.MAX_VALUE));
}

/** Each interval `incrementMs` longer than the last. */
export function linearBackoff(initialMs: number, incrementMs: number, options: RetryOptions = {}): Iterable<number> {
  checkNumber("initialMs", initialMs, 0);
  checkNumber("incrementMs", incrementMs, 0);
  return strategy(options, (retry) => initialMs + incrementMs * retry);
}

function strategy(options: RetryOptions, intervalOf: (retry: number) => number): Iterable<number> {
  checkKnown("retry options", options, names);
  const { maxRetries = Number.POSITIVE_INFINITY, capMs = longest, jitter = 0, random = () => Math.random() } = options;
  if (options.maxRetries !== undefined) checkNumber("maxRetries", maxRetries, 0);
  checkNumber("capMs", capMs, 0);
  checkNumber("jitter", jitter, 0, 1);
  if (typeof random !== "function") throw new TypeError("random must be a function that returns a number from 0 up to 1");
  return {
    *[Symbol.iterator]() {
      for (let retry = 0; retry < maxRetries; retry++) yield Math.min(intervalOf(retry), capMs) * (1 - jitter * random());
    },
  };
}

const names = ["maxRetries", "capMs", "jitter", "random"] as const satisfies readonly (keyof RetryOptions)[];
const longest = 2 ** 31 - 1;
