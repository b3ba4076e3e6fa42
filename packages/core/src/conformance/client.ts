/** A driver as the cases use it: single claims, defaults, every answer checked to be a verdict that comes in time. */
import assert from "node:assert/strict";
import type { AcquireClaim, AcquireResult, Claim, ExtendClaim, Holder, LockDriver, LockRecord, Outcome, ReleaseClaim } from "../driver.js";
import { isDriverError } from "../errors.js";
import { type Context, longMs } from "./context.js";

/** A lease as its owner knows it. */
export interface Grant extends Claim {
  readonly token: bigint;
  readonly ttlMs: number;
}

export type Refusal = Extract<AcquireResult, { acquired: false }>;

/** A claim; what is left out is exclusive, for a long time, by a new owner. */
export type Wish = Partial<AcquireClaim> & { key: string };

export class Client {
  readonly driver: LockDriver;
  readonly #context: Context;
  /** What was claimed through this client and may still be held, by key and owner. */
  readonly #claimed = new Map<string, Claim>();

  constructor(driver: LockDriver, context: Context) {
    this.driver = driver;
    this.#context = context;
  }

  async acquireAll(wishes: readonly Wish[]): Promise<AcquireResult[]> {
    const claims = wishes.map((wish): AcquireClaim => ({ owner: this.#context.owner(), ttlMs: longMs, mode: "exclusive", ...wish }));
    for (const { key, owner } of claims) this.#claimed.set(JSON.stringify([key, owner]), { key, owner });
    return this.#verdicts("acquire", claims, this.driver.acquire(claims, this.#call));
  }

  async extendAll(claims: readonly ExtendClaim[]): Promise<boolean[]> {
    return this.#verdicts("extend", claims, this.driver.extend(claims, this.#call));
  }

  async releaseEach(claims: readonly ReleaseClaim[]): Promise<boolean[]> {
    return this.#verdicts("release", claims, this.driver.release(claims, this.#call));
  }

  async acquire(wish: Wish): Promise<AcquireResult> {
    const [result] = await this.acquireAll([wish]);
    return result as AcquireResult;
  }

  /** Acquires, and fails when refused. */
  async grant(wish: Wish): Promise<Grant> {
    const owner = wish.owner ?? this.#context.owner();
    const result = await this.acquire({ ...wish, owner });
    assert.ok(result.acquired, `${JSON.stringify(wish.key)} is refused, though nothing is in the way of ${owner}`);
    return { key: wish.key, owner, token: result.token, ttlMs: result.ttlMs };
  }

  /** Acquires, and fails when granted. */
  async refusal(wish: Wish): Promise<Refusal> {
    const result = await this.acquire(wish);
    assert.ok(!result.acquired, `${JSON.stringify(wish.key)} is granted, though it must not be`);
    return result;
  }

  async extend(grant: Claim & { token: bigint }, ttlMs = longMs, longestMs = Math.max(ttlMs, longMs)): Promise<boolean> {
    const { key, owner, token } = grant;
    const [extended] = await this.extendAll([{ key, owner, token, ttlMs, longestMs }]);
    return extended as boolean;
  }

  async release(claim: ReleaseClaim): Promise<boolean> {
    const { key, owner, token } = claim;
    const [released] = await this.releaseEach([token === undefined ? { key, owner } : { key, owner, token }]);
    return released as boolean;
  }

  async inspect(key: string): Promise<readonly Holder[]> {
    return this.#context.within("inspect", this.driver.inspect(key, this.#call));
  }

  /** The only holder of a key; fails when there is none, or more. */
  async holder(key: string): Promise<Holder> {
    const holders = await this.inspect(key);
    assert.equal(holders.length, 1, `${JSON.stringify(key)} has ${holders.length} holders instead of one`);
    return holders[0] as Holder;
  }

  async list(prefix?: string): Promise<LockRecord[]> {
    const collect = async () => {
      const records: LockRecord[] = [];
      for await (const record of this.driver.list(prefix === undefined ? {} : { prefix })) records.push(record);
      return records;
    };
    return this.#context.within("list", collect());
  }

  async sweep(): Promise<number> {
    return this.#context.within("sweep", this.driver.sweep(this.#call));
  }

  async ping(): Promise<void> {
    return this.#context.within("ping", this.driver.ping(this.#call));
  }

  /** Only for cases that need the capability. */
  async watch(claim: Claim, wake: () => void): Promise<() => void> {
    assert.ok(this.driver.watch, "the driver declares watch and has no such method");
    return this.#context.within("watch", this.driver.watch(claim, wake));
  }

  /** Gives back whatever is still held, so that a case leaves nothing behind. */
  async releaseAll(): Promise<void> {
    const lanes = new Map<string, Claim[]>();
    for (const claim of this.#claimed.values()) {
      const lane = this.driver.laneOf?.(claim.key) ?? "";
      const claims = lanes.get(lane);
      if (claims === undefined) lanes.set(lane, [claim]);
      else claims.push(claim);
    }
    this.#claimed.clear();
    const { maxBatch } = this.driver.capabilities;
    for (const claims of lanes.values()) {
      for (let from = 0; from < claims.length; from += maxBatch) {
        const release = this.driver.release(claims.slice(from, from + maxBatch), this.#call);
        // What cannot be given back ends with its TTL; the case has been judged, and its own error must stay the one that is seen.
        await this.#context.within("release", release).catch(() => {});
      }
    }
  }

  get #call() {
    return { timeoutMs: this.#context.timeoutMs };
  }

  async #verdicts<T>(what: string, claims: readonly Claim[], answer: Promise<readonly Outcome<T>[]>): Promise<T[]> {
    const outcomes = await this.#context.within(what, answer);
    assert.equal(outcomes.length, claims.length, `${what} answers ${outcomes.length} of ${claims.length} claims`);
    return outcomes.map((outcome, index) => {
      if (isDriverError(outcome)) {
        const claim = JSON.stringify(claims[index]?.key);
        throw new assert.AssertionError({
          message: `${what} of ${claim} is answered with an error: ${outcome.message} (applied: ${outcome.applied})`,
        });
      }
      return outcome;
    });
  }
}
