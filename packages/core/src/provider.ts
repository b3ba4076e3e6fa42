/** `createLockProvider(driver, options)`: the public face over one driver. */
import { Acquisition, Refused } from "./acquire.js";
import { type AutoRenewOptions, renewInRhythm } from "./auto-renew.js";
import { checkDriver } from "./check-driver.js";
import { currentScope, runInScope, type Scope, scopesHolding } from "./context.js";
import { DeadlockDetector, refuseSelfDeadlock } from "./deadlock.js";
import { Direct } from "./direct.js";
import type { Holder, LockDriver, LockRecord } from "./driver.js";
import { createEngine, type Engine } from "./engine.js";
import { LockLostError, LockNotAcquiredError, ProviderClosedError } from "./errors.js";
import type { LockEventName, LockEvents } from "./events.js";
import { checkKey } from "./key.js";
import type { Lock, LockHandle } from "./lock.js";
import { type LockAllRequest, mergeRequests, Taking } from "./lock-all.js";
import { type LockAll, LockAllHandle } from "./lock-all-handle.js";
import { fieldsOf } from "./logger.js";
import {
  type AcquireSpec,
  checkKnown,
  checkNumber,
  checkSignal,
  type LockAllOptions,
  type LockOptions,
  lockAllOptionNames,
  longestMs,
  type ProviderOptions,
  resolveLockOptions,
  resolveProviderOptions,
  resolveTryLockOptions,
  type TryLockOptions,
} from "./options.js";
import { createInstanceId } from "./owner.js";
import { lateRenewal } from "./renewer.js";
import { Flights } from "./singleflight.js";
import type { LockStats } from "./stats.js";
import { Sweeper } from "./sweeper.js";

/** What `tryWithLock` came to. */
export type TryResult<T> =
  | { readonly acquired: true; readonly value: T }
  | { readonly acquired: false; readonly holder: Holder | undefined };

/** Locks over one backend. Every method rejects with ProviderClosedError after `close()`, and with LockBackendError when the backend fails. */
export interface LockProvider extends AsyncDisposable {
  /** Names this provider in owners: `{hostname}-{8 hex digits}` unless given. */
  readonly instanceId: string;
  /**
   * Waits for the lock.
   *
   * @throws LockTimeoutError when `waitMs` or the retry strategy ended first; LockNotAcquiredError instead with `waitMs: 0`; the reason of
   * `signal` when it aborts; DeadlockError when it would wait for what this very context holds, or (with `detectDeadlocks`) in a circle;
   * InvalidLockKeyError, TypeError or RangeError for bad input.
   */
  lock(key: string, options?: LockOptions): Promise<Lock>;
  /**
   * Takes several keys, all or nothing, without a deadlock with others who do the same. Duplicates are merged; `waitMs` is for all together.
   *
   * @throws RangeError when a key is asked for with two limits; else what `lock` throws. Nothing is held then.
   */
  lockAll(requests: readonly (string | LockAllRequest)[], options?: LockAllOptions): Promise<LockAll>;
  /** Asks once; undefined when the lock is held by another. */
  tryLock(key: string, options?: TryLockOptions): Promise<Lock | undefined>;
  /**
   * Runs `body` while the lock is held, and releases it whatever happens.
   *
   * An error of the body is thrown as it is; if the release fails too, its error is added to it as `suppressed`. A release that fails alone
   * costs no value: it is an `error` event.
   *
   * @throws what `lock` throws; LockLostError, with the body's `value`, when the body ran to its end but the lock was lost meanwhile.
   */
  withLock<T>(key: string, body: (lock: Lock) => Promise<T> | T): Promise<T>;
  withLock<T>(key: string, options: LockOptions, body: (lock: Lock) => Promise<T> | T): Promise<T>;
  /** As `withLock`, but asks once and does not run `body` when the lock is held by another. */
  tryWithLock<T>(key: string, body: (lock: Lock) => Promise<T> | T): Promise<TryResult<T>>;
  tryWithLock<T>(key: string, options: TryLockOptions, body: (lock: Lock) => Promise<T> | T): Promise<TryResult<T>>;
  /**
   * One call of `call` in flight for a key in this process: whoever asks meanwhile gets its value or its error. Nothing is kept afterwards.
   *
   * @param options `lock`: the call also holds the distributed lock of the key (`true`, or the options of `withLock`). `signal`: ends this
   * caller's wait, not the call.
   */
  singleflight<T>(key: string, call: (lock: Lock | undefined) => Promise<T> | T, options?: SingleflightOptions): Promise<T>;
  /** The lock on `key` that the innermost `withLock` or `tryWithLock` around this code has taken, or undefined. */
  currentLock(key: string): Lock | undefined;
  /** Whether anyone holds the key. By the time you read it, it may have changed: for people, not for decisions. */
  isLocked(key: string): Promise<boolean>;
  /** Who holds the key: nobody, one, or several sharing it. */
  inspect(key: string): Promise<readonly Holder[]>;
  /** Every live lease whose key starts with `prefix`. */
  list(options?: { prefix?: string }): AsyncIterable<LockRecord>;
  /** Proves that the backend is there and takes writes. */
  ping(): Promise<void>;
  /**
   * Renews the lease of `owner`: the owner of a handle of this provider, one that `inspect` shows, or one that the user gave, wherever it was
   * taken. A shorter TTL than it has shortens nothing.
   *
   * @throws LockNotHeldError when that owner does not hold the key.
   */
  renew(key: string, owner: string, ttlMs: number): Promise<void>;
  /**
   * Renews the lease of `owner` in a rhythm until the signal aborts.
   *
   * @throws LockNotHeldError when that owner no longer holds the key; LockBackendError when no renewal has succeeded for a whole TTL.
   */
  autoRenew(key: string, owner: string, options?: AutoRenewOptions): Promise<void>;
  /**
   * Frees the lease of `owner`: the owner of a handle of this provider (one hold of it), one that `inspect` shows, or one that the user gave,
   * wherever it was taken. Resolves to whether there was one. A handle's own owner ends in `#n` for the n-th hand-off, which only its own process
   * can judge: elsewhere it names nobody.
   */
  unlock(key: string, owner: string): Promise<boolean>;
  /** Removes the records of ended leases now; resolves to how many. */
  sweep(): Promise<number>;
  stats(): LockStats;
  /** Listens; returns how to stop. */
  on<N extends LockEventName>(event: N, listener: (event: LockEvents[N]) => void): () => void;
  /**
   * Refuses new calls, rejects waiters, aborts the signals of held locks (reason `closed`) and releases all. Settles within a second even
   * when the server is silent: the TTL does the rest. Idempotent, never rejects.
   */
  close(): Promise<void>;
}

export interface SingleflightOptions {
  lock?: boolean | LockOptions;
  signal?: AbortSignal;
}

/** How long `close()` waits for the server, and for the driver after that; together under its second. */
const releasePatienceMs = 800;
const closePatienceMs = 150;

/**
 * @param driver a backend, such as `memoryDriver()`; `close()` of the provider closes it.
 * @throws TypeError or RangeError that names the option and the accepted range.
 */
export function createLockProvider(driver: LockDriver, options: ProviderOptions = {}): LockProvider {
  return new Provider(driver, options);
}

class Provider implements LockProvider {
  readonly instanceId: string;
  readonly #engine: Engine;
  readonly #direct: Direct;
  readonly #sweeper: Sweeper | undefined;
  readonly #detector: DeadlockDetector | undefined;
  readonly #flights = new Flights();
  readonly #asksForLock = (key: string, options: LockOptions | undefined) => this.#lock(key, options);
  readonly #asksOnce = (key: string, options: TryLockOptions | undefined) => this.#try(key, options);
  #closing: Promise<void> | undefined;

  constructor(driver: LockDriver, options: ProviderOptions) {
    checkDriver(driver);
    const spec = resolveProviderOptions(options, driver.capabilities);
    this.instanceId = options.instanceId ?? createInstanceId();
    this.#engine = createEngine(driver, spec, this.instanceId, options);
    if (spec.detectDeadlocks) this.#detector = new DeadlockDetector(this.#engine.events);
    this.#direct = new Direct(this.#engine);
    if (spec.sweepIntervalMs > 0) this.#sweeper = new Sweeper(this.#engine, () => this.#direct.sweep(false));
  }

  lock(key: string, options?: LockOptions): Promise<Lock> {
    return this.#lock(key, options);
  }

  async lockAll(requests: readonly (string | LockAllRequest)[], options: LockAllOptions = {}): Promise<LockAll> {
    this.#open();
    const { base } = this.#engine.spec;
    checkKnown("lockAll options", options, lockAllOptionNames);
    const specOf = ({ key: _, ...mode }: LockAllRequest) =>
      resolveLockOptions({ ...options, ...mode }, base, this.#engine.driver.capabilities);
    const merged = mergeRequests(requests, specOf);
    const { waitMs = Math.min(base.waitMs, base.retryForMs), ...rest } = options;
    rest.signal?.throwIfAborted();
    for (const request of merged) {
      const spec = specOf(request);
      if (waitMs === 0 || spec.detached || this.#shared(request.key, spec) !== undefined) continue;
      refuseSelfDeadlock(this, request.key, spec);
      this.#detector?.asks(request.key);
    }
    const taking = new Taking(this.#engine, merged, rest.signal, {
      tryLock: (key, mode) => this.#try(key, { ...rest, ...mode }),
      lock: (key, mode, waitMs) => this.#lock(key, { ...rest, ...mode, waitMs: Math.min(waitMs, longestMs) }),
    });
    return new LockAllHandle(await taking.take(waitMs));
  }

  async tryLock(key: string, options: TryLockOptions = {}): Promise<Lock | undefined> {
    const lock = await this.#try(key, options);
    return lock instanceof Refused ? undefined : lock;
  }

  withLock<T>(key: string, options: LockOptions | Body<T>, body?: Body<T>): Promise<T> {
    return this.#hold(key, options, body, this.#asksForLock) as Promise<T>;
  }

  async tryWithLock<T>(key: string, options: TryLockOptions | Body<T>, body?: Body<T>): Promise<TryResult<T>> {
    const value = await this.#hold(key, options, body, this.#asksOnce);
    return value instanceof Refused ? { acquired: false, holder: value.holder } : { acquired: true, value };
  }

  singleflight<T>(key: string, call: (lock: Lock | undefined) => Promise<T> | T, options: SingleflightOptions = {}): Promise<T> {
    try {
      this.#open(key);
      checkKey(key);
      checkKnown("singleflight options", options, ["lock", "signal"]);
      if (typeof call !== "function") throw new TypeError("call must be a function");
      checkSignal(options.signal);
      options.signal?.throwIfAborted();
    } catch (error) {
      return Promise.reject(error);
    }
    const { lock = false, signal } = options;
    const flight = async () => {
      if (lock === false) return call(undefined);
      return this.withLock(key, lock === true ? {} : lock, call);
    };
    return this.#flights.run(key, flight, signal);
  }

  currentLock(key: string): Lock | undefined {
    for (let scope = currentScope(); scope !== undefined; scope = scope.outer) {
      if (scope.provider === this && scope.key === key) return scope.lock;
    }
    return undefined;
  }

  async isLocked(key: string): Promise<boolean> {
    return (await this.inspect(key)).length > 0;
  }

  inspect(key: string): Promise<readonly Holder[]> {
    return this.#direct.inspect(key);
  }

  list(options: { prefix?: string } = {}): AsyncIterable<LockRecord> {
    return this.#direct.list(options);
  }

  ping(): Promise<void> {
    return this.#direct.ping();
  }

  renew(key: string, owner: string, ttlMs: number): Promise<void> {
    return this.#direct.renew(key, owner, ttlMs);
  }

  async autoRenew(key: string, owner: string, options: AutoRenewOptions = {}): Promise<void> {
    checkKnown("autoRenew options", options, ["intervalMs", "ttlMs", "signal"]);
    const { ttlMs = this.#engine.spec.base.ttlMs, signal } = options;
    checkNumber("ttlMs", ttlMs, 10);
    const { intervalMs = ttlMs / 3 } = options;
    checkNumber("intervalMs", intervalMs, 1);
    const { logger } = this.#engine;
    if (intervalMs >= ttlMs) logger?.warn({ ...fieldsOf(key, owner), interval_ms: intervalMs, ttl_ms: ttlMs }, lateRenewal);
    await renewInRhythm(this.#engine, () => this.renew(key, owner, ttlMs), { intervalMs, ttlMs, signal });
  }

  unlock(key: string, owner: string): Promise<boolean> {
    return this.#direct.unlock(key, owner);
  }

  sweep(): Promise<number> {
    return this.#direct.sweep(true);
  }

  stats(): LockStats {
    return this.#engine.stats.snapshot();
  }

  on<N extends LockEventName>(event: N, listener: (event: LockEvents[N]) => void): () => void {
    return this.#engine.events.on(event, listener);
  }

  close(): Promise<void> {
    if (this.#closing === undefined) {
      let settle: (closed: Promise<void>) => void = () => {};
      // Known before it begins: a listener of the losses it causes may call it again.
      this.#closing = new Promise((resolve) => {
        settle = resolve;
      });
      settle(this.#close());
    }
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const { gates, undo, acquires, releases, driver, schedule } = this.#engine;
    this.#engine.closed = true;
    this.#sweeper?.stop();
    gates.close((key) => new ProviderClosedError(key));
    undo.finish();
    // Grants that are still on their way are given back when they come, so these are awaited first.
    await this.#atMost(
      releasePatienceMs,
      acquires.idle().then(() => releases.idle()),
    );
    schedule.close();
    await this.#atMost(
      closePatienceMs,
      (async () => driver.close())().catch((error: unknown) => this.#engine.report(error, "close the driver")),
    );
  }

  /** Waits for `work`, but not for ever. */
  #atMost(ms: number, work: Promise<void>): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#engine.clock.setTimer(resolve, ms, true);
      void work.then(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  #open(key?: string): void {
    if (this.#engine.closed) throw new ProviderClosedError(key);
  }

  /** No `async` here: on the way of every lock, each extra promise counts. */
  #lock(key: string, options: LockOptions | undefined): Promise<LockHandle> {
    let spec: AcquireSpec;
    let outer: LockHandle | undefined;
    try {
      const { base } = this.#engine.spec;
      spec = options === undefined ? base : resolveLockOptions(options, base, this.#engine.driver.capabilities);
      this.#mayAcquire(key, spec);
      outer = this.#shared(key, spec)?.lock;
      if (outer === undefined && spec.waitMs > 0 && !spec.detached && spec.owner === undefined) {
        refuseSelfDeadlock(this, key, spec);
        this.#detector?.asks(key);
      }
    } catch (error) {
      return Promise.reject(error);
    }
    if (spec.waitMs > 0) return this.#acquire(key, spec, outer) as Promise<LockHandle>;
    return this.#acquire(key, spec, outer).then((lock) => {
      if (lock instanceof Refused) throw new LockNotAcquiredError(key, lock.holder);
      return lock;
    });
  }

  async #try(key: string, options: TryLockOptions = {}): Promise<LockHandle | Refused> {
    const spec = resolveTryLockOptions(options, this.#engine.spec.base, this.#engine.driver.capabilities);
    this.#mayAcquire(key, spec);
    return this.#acquire(key, spec, this.#shared(key, spec)?.lock);
  }

  /**
   * The hold of this context that the claim is to take part in. A plain shared one always does: a second lease would stand in line behind a
   * writer who waits for the first one.
   */
  #shared(key: string, { reentrant, detached, mode, limit, owner }: AcquireSpec): Scope | undefined {
    if (detached || !(reentrant || (mode === "shared" && limit === undefined))) return undefined;
    return scopesHolding(this, key).find(({ lock }) => lock.mode === mode && (owner === undefined || lock.owner === owner));
  }

  #mayAcquire(key: string, spec: AcquireSpec): void {
    this.#open(key);
    checkKey(key);
    spec.signal?.throwIfAborted();
  }

  /**
   * Only one that asks once (`waitMs: 0`) can be refused.
   *
   * @param outer the hold that it takes part in.
   */
  #acquire(key: string, spec: AcquireSpec, outer: LockHandle | undefined): Promise<LockHandle | Refused> {
    return new Promise((resolve, reject) => {
      // Once more: a listener of a deadlock foreseen may have aborted it.
      spec.signal?.throwIfAborted();
      const acquisition = new Acquisition(this.#engine, key, spec, resolve, reject);
      if (outer !== undefined) {
        outer.shareWith(acquisition);
        return;
      }
      this.#detector?.waits(acquisition);
      this.#engine.gates.enter(acquisition);
    });
  }

  /**
   * Takes the lock, runs the body in its scope, and releases. One `async` function for all of it: with an AsyncLocalStorage in use each promise
   * costs Node 20 more than the scope does.
   */
  async #hold<O extends LockOptions, T>(
    key: string,
    optionsOrBody: O | Body<T>,
    bodyOrNone: Body<T> | undefined,
    ask: (key: string, options: O | undefined) => Promise<LockHandle | Refused>,
  ): Promise<T | Refused> {
    const alone = typeof optionsOrBody === "function";
    const options = alone ? undefined : optionsOrBody;
    const body = alone ? optionsOrBody : bodyOrNone;
    if (typeof body !== "function") throw new TypeError("body must be a function that takes the lock");
    const outer = options?.detached === true ? undefined : currentScope();
    // The stack leads to the caller only until the first `await`.
    const where = this.#detector === undefined ? undefined : DeadlockDetector.where();
    const lock = await ask(key, options);
    if (lock instanceof Refused) return lock;
    const scope: Scope = { provider: this, key, lock, outer, where };
    let value: T;
    try {
      this.#detector?.entered(scope);
      value = await runInScope(scope, body, lock);
    } catch (error) {
      try {
        await lock.unlock();
      } catch (suppressed) {
        if (typeof error === "object" && error !== null && Object.isExtensible(error)) Object.assign(error, { suppressed });
        this.#engine.report(suppressed, "release", key);
      }
      throw error;
    } finally {
      this.#detector?.left(scope);
    }
    let kept = true;
    try {
      kept = await lock.unlock();
    } catch (error) {
      this.#engine.report(error, "release", key);
    }
    const { loss } = lock;
    if (loss !== undefined || !kept) throw new LockLostError(key, loss ?? "refused", { value });
    return value;
  }
}

type Body<T> = (lock: Lock) => Promise<T> | T;
