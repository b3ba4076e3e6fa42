/**
 * What is asked of the backend outside of any handle: looking, sweeping, and leases that are known by key and owner only. Not batched, and with the
 * same guarantee: a call ends in time whatever the driver does.
 */
import { publicHolder } from "./acquire.js";
import type { Call, Holder, LockRecord, Outcome } from "./driver.js";
import { type Engine, isHolder, isRecord } from "./engine.js";
import { driverError, isDriverError, LockBackendError, LockNotHeldError, malformedAnswer, ProviderClosedError } from "./errors.js";
import { driverTimeMs } from "./flight.js";
import { checkKey, checkOwner, describe } from "./key.js";
import type { Lease } from "./lease.js";
import { ownerOf } from "./lock.js";
import { checkKnown, checkNumber, longestMs } from "./options.js";
import { refresh } from "./renewer.js";
import type { Entry } from "./schedule.js";

export class Direct {
  readonly #engine: Engine;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  async inspect(key: string): Promise<readonly Holder[]> {
    return (await this.#inspect(key)).map(publicHolder);
  }

  async *list(options: { prefix?: string }): AsyncIterable<LockRecord> {
    this.#open();
    checkKnown("list options", options, ["prefix"]);
    const { prefix } = options;
    if (prefix !== undefined && typeof prefix !== "string") throw new TypeError(`prefix must be a string, got ${describe(prefix)}`);
    try {
      for await (const record of this.#engine.driver.list(options)) {
        if (!isRecord(record)) throw malformedAnswer(record);
        yield { ...publicHolder(record), key: record.key };
      }
    } catch (error) {
      throw new LockBackendError(this.#engine.driver.name, "list the locks", error);
    }
  }

  ping(): Promise<void> {
    return this.#call("take writes", undefined, (call) => this.#engine.driver.ping(call));
  }

  /** @param keepsAlive whether somebody waits for it. */
  async sweep(keepsAlive: boolean): Promise<number> {
    const { driver, stats, events } = this.#engine;
    const sweep = async (call: Call) => {
      const swept = await driver.sweep(call);
      if (!(Number.isInteger(swept) && swept >= 0)) throw malformedAnswer(swept);
      return swept;
    };
    const count = await this.#call("sweep", undefined, sweep, keepsAlive);
    stats.swept += count;
    events.emit("swept", { count });
    return count;
  }

  async renew(key: string, owner: string, ttlMs: number): Promise<void> {
    this.#check(key, owner);
    checkNumber("ttlMs", ttlMs, 10);
    const lease = this.#localLease(key, owner);
    if (lease !== undefined) {
      await refresh(lease, ttlMs);
      return;
    }
    const token = await this.#tokenOf(key, owner);
    const { renewals, spec, clock } = this.#engine;
    const held =
      token !== undefined &&
      (await this.#answer<boolean>("renew", key, (receiver) =>
        // Its holder may have been promised any time: a shorter renewal must not cut that back (R8).
        renewals.submit({ key, owner, token, ttlMs, longestMs }, spec.base.attemptTimeoutMs, receiver, clock.now()),
      ));
    if (!held) throw new LockNotHeldError(key, `${owner} does not hold it`);
  }

  async unlock(key: string, owner: string): Promise<boolean> {
    this.#check(key, owner);
    const lease = this.#localLease(key, owner);
    if (lease !== undefined) return lease.newestHandle.unlock();
    const token = await this.#tokenOf(key, owner);
    if (token === undefined) return false;
    const { releases, spec, clock } = this.#engine;
    return this.#answer<boolean>("release", key, (receiver) =>
      releases.submit({ key, owner, token }, spec.base.attemptTimeoutMs, receiver, clock.now()),
    );
  }

  #open(key?: string): void {
    if (this.#engine.closed) throw new ProviderClosedError(key);
  }

  #check(key: string, owner: string): void {
    this.#open(key);
    checkKey(key);
    checkOwner(owner);
  }

  /** The lease here that `owner` names: the user's own owner, a handle's (refused when it is not the present one), or the lease's. */
  #localLease(key: string, owner: string): Lease | undefined {
    const { gates } = this.#engine;
    const whole = gates.lease(key, owner);
    if (whole !== undefined) return whole;
    const lease = gates.lease(key, owner.slice(0, Math.max(owner.lastIndexOf("#"), 0)));
    return lease !== undefined && ownerOf(lease, lease.handOffs) === owner ? lease : undefined;
  }

  async #tokenOf(key: string, owner: string): Promise<bigint | undefined> {
    return (await this.#inspect(key)).find((holder) => holder.owner === owner)?.token;
  }

  async #inspect(key: string): Promise<readonly Holder[]> {
    checkKey(key);
    return this.#call("inspect", key, async (call) => {
      const holders: unknown = await this.#engine.driver.inspect(key, call);
      // A copy: of a list with holes, `every` would not see these.
      if (!Array.isArray(holders) || ![...holders].every(isHolder)) throw malformedAnswer(holders);
      return holders;
    });
  }

  /** A call outside of the batches, with their guarantee: it ends in time whatever the driver does. */
  async #call<T>(doing: string, key: string | undefined, run: (call: Call) => Promise<T>, keepsAlive = true): Promise<T> {
    this.#open(key);
    const { clock, driver, schedule, spec } = this.#engine;
    const timeoutMs = driverTimeMs(spec.base.attemptTimeoutMs);
    return new Promise<T>((resolve, reject) => {
      const fail = (error: unknown) => reject(new LockBackendError(driver.name, doing, error, key));
      let restMs = spec.base.attemptTimeoutMs - timeoutMs;
      const limit: Entry = {
        slot: -1,
        keepsAlive,
        run: (now) => {
          if (restMs <= 0) return fail(driverError("the backend did not answer in time", { applied: "unknown", retryable: true }));
          // As in a batch: an answer that came while the event loop was blocked is read first.
          schedule.set(limit, now + restMs);
          restMs = 0;
        },
        closed: () => reject(new ProviderClosedError(key)),
      };
      schedule.set(limit, clock.now() + timeoutMs);
      (async () => run({ timeoutMs }))()
        .then(resolve, fail)
        .finally(() => schedule.delete(limit));
    });
  }

  /** One claim outside of any handle. */
  #answer<T>(doing: string, key: string, submit: (receiver: { onOutcome(outcome: Outcome<T>): void }) => void): Promise<T> {
    const answer = new Promise<T>((resolve, reject) => {
      submit({
        onOutcome: (outcome) => {
          if (isDriverError(outcome)) reject(new LockBackendError(this.#engine.driver.name, doing, outcome, key));
          else resolve(outcome);
        },
      });
    });
    // A renewal by itself keeps no process alive, but this one is awaited.
    return this.#engine.schedule.keepAliveFor(answer);
  }
}
