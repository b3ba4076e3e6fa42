/**
 * What a driver makes of whatever its server says, judged alike for every driver of a server: an answer that can be relied upon, or a
 * DriverError. What cannot be read is never a yes or a no.
 */
import { inspect } from "node:util";
import fc from "fast-check";
import { expect, it } from "vitest";
import { type Call, type DriverError, type Holder, isDriverError, type LockDriver } from "../../src/index.ts";

/** The part of a server's answers that is made up. */
export interface Replies<R> {
  /** A driver whose server answers with `reply`, whatever it is asked. */
  open(reply: R): LockDriver;
  /** Anything that a server, a proxy or another program may say: nonsense, and what is nearly right. */
  readonly any: fc.Arbitrary<R>;
  /** What certainly cannot be read as an answer to one of `asked`: of a wrong type or length, no number, out of range. */
  readonly garbled: Readonly<Record<Verdict | "inspect" | "list", readonly R[]>>;
}

type Verdict = "acquire" | "extend" | "release";

/** What the judges ask for: two keys, for an owner who is in the middle of everything. */
const asked = { keys: ["a", "b"], owner: "me", token: 5n, ttlMs: 60_000 } as const;

/** Some replies ask for patience. */
const short = { timeoutMs: 50 };
/** These must be told from "no time was left". */
const long = { timeoutMs: 10_000 };

const ask: Record<Verdict, (driver: LockDriver, call: Call, mode?: "exclusive" | "shared") => Promise<readonly unknown[]>> = {
  acquire: (driver, call, mode = "exclusive") =>
    driver.acquire(
      asked.keys.map((key) => ({ key, owner: asked.owner, ttlMs: asked.ttlMs, mode, ...(mode === "shared" ? { limit: 2 } : {}) })),
      call,
    ),
  extend: (driver, call) =>
    driver.extend(
      asked.keys.map((key) => ({ key, owner: asked.owner, token: asked.token, ttlMs: asked.ttlMs, longestMs: asked.ttlMs })),
      call,
    ),
  release: (driver, call) =>
    driver.release(
      asked.keys.map((key) => ({ key, owner: asked.owner, token: asked.token })),
      call,
    ),
};

export async function listed(driver: LockDriver): Promise<number> {
  let count = 0;
  for await (const { key, ...holder } of driver.list({})) {
    expect(typeof key).toBe("string");
    expectHolder(holder);
    // A server that is asked for ever may answer for ever.
    if (++count > 100) break;
  }
  return count;
}

/** What came of a call: its value, or the DriverError it rejected with. Nothing else may be thrown. */
export async function settled<T>(work: () => Promise<T>): Promise<T | DriverError> {
  try {
    return await work();
  } catch (error) {
    if (!isDriverError(error)) throw error;
    return error;
  }
}

async function settledBy<R, T>({ open }: Replies<R>, reply: R, work: (driver: LockDriver) => Promise<T>): Promise<T | DriverError> {
  const driver = open(reply);
  try {
    return await settled(() => work(driver));
  } finally {
    await driver.close();
  }
}

function expectToken(token: unknown): void {
  expect(typeof token).toBe("bigint");
  expect((token as bigint) > 0n && (token as bigint) < 2n ** 53n).toBe(true);
}

export function expectHolder({ owner, token, mode, remainingMs, heldMs, metadata }: Holder): void {
  expect([typeof owner, typeof remainingMs, typeof heldMs]).toEqual(["string", "number", "number"]);
  expectToken(token);
  expect(["exclusive", "shared"]).toContain(mode);
  expect(["string", "undefined"]).toContain(typeof metadata);
  expect(remainingMs >= 0 && heldMs >= 0, `${remainingMs} and ${heldMs} ms`).toBe(true);
}

function expectAcquired(outcome: unknown): void {
  const { acquired, token, ttlMs, retryAfterMs, holder } = outcome as Record<string, unknown>;
  if (acquired === true) {
    expectToken(token);
    expect(ttlMs).toBeGreaterThanOrEqual(asked.ttlMs);
    expect(ttlMs).not.toBe(Number.POSITIVE_INFINITY);
  } else {
    expect(acquired).toBe(false);
    if (retryAfterMs !== undefined) expect(retryAfterMs).toBeGreaterThanOrEqual(0);
    if (holder !== undefined) expectHolder(holder as Holder);
  }
}

function expectVerdict(outcome: unknown): void {
  expect(typeof outcome).toBe("boolean");
}

/** A verdict for each claim, as the contract has them. */
async function judgeAny<R>(replies: Replies<R>, reply: R, verdict: Verdict, mode?: "exclusive" | "shared"): Promise<void> {
  const outcomes = await settledBy(replies, reply, (driver) => ask[verdict](driver, short, mode));
  if (isDriverError(outcomes)) return;
  expect(outcomes).toHaveLength(asked.keys.length);
  for (const outcome of outcomes) if (!isDriverError(outcome)) (verdict === "acquire" ? expectAcquired : expectVerdict)(outcome);
}

/** Unknown, for one of the claims at least: what was garbled may be the answer to one alone. */
async function judgeGarbled<R>(replies: Replies<R>, verdict: Verdict): Promise<void> {
  for (const reply of replies.garbled[verdict]) {
    const outcomes = await settledBy(replies, reply, (driver) => ask[verdict](driver, long));
    // A throw is unknown for every claim, whatever it says (R2).
    if (isDriverError(outcomes)) continue;
    const isUnknown = (outcome: unknown) => isDriverError(outcome) && outcome.applied === "unknown";
    if (!outcomes.some(isUnknown)) expect.fail(`${inspect(reply)} is taken for ${inspect(outcomes)}`);
  }
}

async function judgeGarbledLook<R>(
  replies: Replies<R>,
  look: "inspect" | "list",
  work: (driver: LockDriver) => Promise<unknown>,
): Promise<void> {
  for (const reply of replies.garbled[look]) {
    const shown = await settledBy(replies, reply, work);
    if (!isDriverError(shown)) expect.fail(`${inspect(reply)} is taken for ${inspect(shown)}`);
  }
}

const runs = { numRuns: 1_000 };

/** Each rejects when the driver breaks it. */
export const judgements: Readonly<Record<string, <R>(replies: Replies<R>) => Promise<void>>> = {
  "any reply to acquire is a grant with a token, a refusal, or an error": (replies) =>
    fc.assert(
      fc.asyncProperty(replies.any, fc.constantFrom("exclusive", "shared"), (reply, mode) => judgeAny(replies, reply, "acquire", mode)),
      runs,
    ),
  "any reply to extend is a verdict for each claim, or an error": (replies) =>
    fc.assert(
      fc.asyncProperty(replies.any, (reply) => judgeAny(replies, reply, "extend")),
      runs,
    ),
  "any reply to release is a verdict for each claim, or an error": (replies) =>
    fc.assert(
      fc.asyncProperty(replies.any, (reply) => judgeAny(replies, reply, "release")),
      runs,
    ),
  "any reply to inspect and list is holders and records, or an error": (replies) =>
    fc.assert(
      fc.asyncProperty(replies.any, async (reply) => {
        const found = await settledBy(replies, reply, (driver) => driver.inspect("a", short));
        if (!isDriverError(found)) for (const holder of found) expectHolder(holder);
        await settledBy(replies, reply, listed);
      }),
      runs,
    ),
  "any reply to sweep and ping is a number and silence, or an error": (replies) =>
    fc.assert(
      fc.asyncProperty(replies.any, async (reply) => {
        const swept = await settledBy(replies, reply, (driver) => driver.sweep(short));
        if (!isDriverError(swept)) expect(Number.isInteger(swept) && swept >= 0, String(swept)).toBe(true);
        await settledBy(replies, reply, (driver) => driver.ping(short));
      }),
      runs,
    ),
  "a garbled reply to acquire is unknown": (replies) => judgeGarbled(replies, "acquire"),
  "a garbled reply to extend is unknown": (replies) => judgeGarbled(replies, "extend"),
  "a garbled reply to release is unknown": (replies) => judgeGarbled(replies, "release"),
  "a garbled reply to inspect is an error": (replies) => judgeGarbledLook(replies, "inspect", (driver) => driver.inspect("a", long)),
  "a garbled reply to list is an error": (replies) => judgeGarbledLook(replies, "list", listed),
};

/** Defines a test for each judgement. */
export function testReplies<R>(replies: Replies<R>): void {
  it.each(Object.entries(judgements))("%s", async (_what, judge) => {
    await judge(replies);
  });
}
