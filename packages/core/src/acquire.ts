/**
 * One acquisition: attempt, wait (for a notification, for the holder's remaining time, for the retry strategy: the first of them), attempt
 * again, until the deadline or the caller's signal; one last attempt at the deadline.
 */
import { onAbort } from "./abort.js";
import type { AcquireClaim, AcquireResult, DriverError, Holder, Outcome } from "./driver.js";
import type { Engine } from "./engine.js";
import { driverError, isDriverError, LockBackendError, LockTimeoutError } from "./errors.js";
import type { Receiver } from "./flight.js";
import type { Gate } from "./gate.js";
import { describe } from "./key.js";
import { Lease } from "./lease.js";
import type { LockHandle } from "./lock.js";
import { fieldsOf } from "./logger.js";
import type { AcquireSpec } from "./options.js";
import { createOwner } from "./owner.js";
import { refresh } from "./renewer.js";
import { exponentialBackoff } from "./retry.js";
import type { Entry } from "./schedule.js";
import { publicToken } from "./token.js";
import { driftMs, ghostWindowMs } from "./validity.js";

/** The answer to a `tryLock` that found the key held. */
export class Refused {
  readonly holder: Holder | undefined;

  constructor(holder: Holder | undefined) {
    this.holder = holder;
  }
}

/** With notifications the timer is only the safety net. */
const watchedBackoff = exponentialBackoff(100, { capMs: 2_000, jitter: 0.5 });
const polledBackoff = exponentialBackoff(10, { capMs: 100, jitter: 0.5 });
/** The safety nets of many waiters fall due together, so that one call carries them all; each process has its own such moments. */
const meetEveryMs = 50;
/** No strategy is quicker. */
const shortestPauseMs = 1;
/** Asked again just after the holder's lease ends, not just before. */
const afterExpiryMs = 1;

export class Acquisition implements Entry, Receiver<AcquireResult> {
  slot = -1;
  /** Waiting keeps the process alive: an exit in the middle of it would look like success. */
  readonly keepsAlive = true;
  readonly key: string;
  readonly spec: AcquireSpec;
  /** Made for the first attempt: who is handed a lease needs none. */
  #owner: string | undefined;
  state: "queued" | "lengthening" | "attempting" | "answered" | "sleeping" | "settled" = "queued";
  /** The place in the gate's queue; the gate's. */
  gate!: Gate;
  inQueue = false;
  previous: Acquisition | undefined;
  next: Acquisition | undefined;
  /** In the queue, one verdict of the server on whoever stands before it is enough. */
  readonly oneVerdict: boolean;
  /** Told once, whatever the end is. */
  whenSettled: (() => void) | undefined;
  readonly #engine: Engine;
  readonly #resolve: (lock: LockHandle | Refused) => void;
  readonly #reject: (error: unknown) => void;
  readonly startedAt: number;
  readonly #deadline: number;
  #stopListening: (() => void) | undefined;
  #intervals: Iterator<number> | undefined;
  /** The strategy's present interval: used up only when its own timer caused the attempt. */
  #interval: number | undefined;
  #timerIsStrategy = false;
  /** The gate's count of wake-ups when the present attempt was made. */
  #wakesSeen = 0;
  #error: LockBackendError | undefined;
  #holder: Holder | undefined;
  /** Until when an attempt of this owner may still be applied, because its outcome is unknown. */
  #ghostUntil = 0;
  #hasPlace = false;

  constructor(
    engine: Engine,
    key: string,
    spec: AcquireSpec,
    resolve: (lock: LockHandle | Refused) => void,
    reject: (error: unknown) => void,
  ) {
    this.#engine = engine;
    this.key = key;
    this.spec = spec;
    this.#owner = spec.owner;
    this.#resolve = resolve;
    this.#reject = reject;
    this.startedAt = engine.clock.now();
    this.#deadline = this.startedAt + spec.waitMs;
    this.oneVerdict = spec.waitMs === 0 || spec.retryForMs === 0;
    engine.stats.waiting++;
    if (spec.signal !== undefined) this.#stopListening = onAbort(spec.signal, () => this.#abort(spec.signal?.reason));
  }

  /** To be asked again after each call of code that is not ours: an event's listener, a strategy; it may have aborted the wait. */
  get #isOver(): boolean {
    return this.state === "settled";
  }

  get owner(): string {
    this.#owner ??= createOwner(this.#engine.instanceId);
    return this.#owner;
  }

  /** The gate has put it into its queue. */
  queued(): void {
    this.state = "queued";
    this.#startAfresh();
    // One verdict is due within the time of one attempt, whoever makes it.
    this.#setTimer(this.startedAt + (this.oneVerdict ? this.spec.attemptTimeoutMs : Math.min(this.spec.waitMs, this.spec.retryForMs)));
  }

  attempt(now: number): void {
    const { key, owner, spec } = this;
    this.state = "attempting";
    this.#engine.schedule.delete(this);
    this.#wakesSeen = this.gate.wakes;
    this.#engine.acquires.submit(claimOf(key, owner, spec), spec.attemptTimeoutMs, this, now);
  }

  /** A hint that the key may be free; it does not use up the strategy. */
  wake(): void {
    if (this.state === "sleeping") this.attempt(this.#engine.clock.now());
  }

  /** A timer: the end of the wait in the queue, or time to try again. */
  run(now: number): void {
    if (this.state === "queued") this.#giveUp(now);
    else if (this.state === "sleeping") {
      if (this.#timerIsStrategy) this.#interval = undefined;
      this.attempt(now);
    }
  }

  onOutcome(outcome: Outcome<AcquireResult>, sentAt: number, now: number): void {
    if (this.state !== "settled") this.state = "answered";
    if (isDriverError(outcome)) this.#failed(outcome, now);
    else if (outcome.acquired) this.#granted(outcome, sentAt, now);
    else this.#refused(outcome, now);
  }

  /** The lease of a waiter before this one, passed on. Returns how to tell, once the one before is told. */
  takeOver(lease: Lease, now: number): () => void {
    this.#settle();
    this.#cleanUp(now);
    this.#engine.stats.handOffs++;
    const handle = lease.handOn(this.spec, now);
    return () => this.#finish(handle, now, true);
  }

  /** A further hold of a lease that the same owner has already. */
  join(lease: Lease): void {
    const now = this.#engine.clock.now();
    this.#settle();
    this.#cleanUp(now);
    this.#finish(lease.join(this.spec, now), now, false);
  }

  /** The same when more is asked for than what is left of it: it is renewed first, and never shortened. */
  lengthen(lease: Lease): void {
    const { handOffs } = lease;
    this.state = "lengthening";
    this.#engine.schedule.delete(this);
    refresh(lease, this.spec.ttlMs).then(
      () => {
        if (this.#isOver) return;
        // It may have been released in the very tick of the answer, and have gone to the next in line.
        if (lease.isHeldAt(this.#engine.clock.now()) && lease.handOffs === handOffs) {
          this.join(lease);
          this.gate.left(this);
        } else this.gate.enterAnew(this);
      },
      (error: Error) => {
        if (this.#isOver) return;
        // No answer: the hold that is there goes on, but nobody can say that it lasts for long enough.
        if (error instanceof LockBackendError) this.fail(error);
        else this.gate.enterAnew(this);
      },
    );
  }

  /** Ends with "held by another". */
  refuse(holder: Holder | undefined): void {
    if (this.spec.waitMs > 0) {
      this.#timeOut(holder, this.#engine.clock.now());
      return;
    }
    this.#end();
    this.#count(true);
    this.#resolve(new Refused(holder));
  }

  fail(error: Error): void {
    if (this.state === "settled") return;
    this.#end();
    this.#count(true);
    this.#reject(error);
  }

  #granted(result: AcquireResult & { acquired: true }, sentAt: number, now: number): void {
    const { spec, gate } = this;
    this.#hasPlace = false;
    if (this.state === "settled") {
      this.#undoGrant(result.token, now);
      return;
    }
    if (now >= sentAt + result.ttlMs - driftMs(result.ttlMs)) {
      // Worthless, and the server may hold it for others still: give it back. A new owner, since that release is under way by the old one.
      this.#undoGrant(result.token, now);
      this.#owner = spec.owner;
      this.#failed(driverError("the grant arrived when its lease was already over", { applied: "no", retryable: true }), now);
      return;
    }
    this.#settle();
    const { token, ttlMs } = result;
    const lease = new Lease(this.#engine, gate, spec, { owner: this.owner, token, ttlMs, sentAt, now, ghostUntil: this.#ghostUntil });
    const handle = lease.handle(now, lease.maxHoldAt);
    gate.granted(this, lease);
    this.#finish(handle, now, false);
  }

  #refused({ holder, retryAfterMs }: AcquireResult & { acquired: false }, now: number): void {
    const { events, stats } = this.#engine;
    this.#hasPlace = this.spec.queue;
    if (this.state === "settled") {
      this.#cleanUp(now);
      return;
    }
    this.#error = undefined;
    this.#holder = holder === undefined ? undefined : publicHolder(holder);
    stats.contended++;
    if (events.has("contended")) events.emit("contended", { key: this.key, holder: this.#holder });
    this.gate.refused(this.#holder, undefined);
    if (now >= this.#deadline) this.#giveUp(now);
    else this.#wait(now, Math.max(retryAfterMs ?? holder?.remainingMs ?? Number.POSITIVE_INFINITY, 0));
  }

  #failed(error: DriverError, now: number): void {
    if (error.applied === "unknown") this.#ghostUntil = now + ghostWindowMs(this.spec.ttlMs);
    if (this.state === "settled") {
      this.#cleanUp(now);
      return;
    }
    this.#error = new LockBackendError(this.#engine.driver.name, "acquire", error, this.key);
    this.gate.refused(undefined, this.#error);
    if (!error.retryable || now >= this.#deadline) this.#giveUp(now);
    else this.#wait(now, Number.POSITIVE_INFINITY);
  }

  #wait(now: number, remainingMs: number): void {
    const { gate, spec } = this;
    if (this.#isOver || !gate.mayWait(this)) return;
    if (this.#error === undefined && gate.wakes !== this.#wakesSeen) {
      // Released between our attempt and its reply: the notification was the first to arrive.
      this.attempt(now);
      return;
    }
    try {
      this.#interval ??= this.#nextInterval();
    } catch (error) {
      // The caller's own iterable: what it throws is theirs to see.
      this.fail(error as Error);
      return;
    }
    if (this.#isOver) return;
    if (this.#interval === undefined) {
      this.#giveUp(now);
      return;
    }
    this.state = "sleeping";
    // Whatever the strategy says, others get their turn in between.
    const pausedUntil = now + Math.max(this.#interval, shortestPauseMs);
    const byStrategy = this.#isNotified ? Math.ceil(pausedUntil / meetEveryMs) * meetEveryMs : pausedUntil;
    // A place in the server's queue lasts for the TTL: ask again in time to keep it.
    const byServer = now + Math.min(remainingMs + afterExpiryMs, spec.queue ? spec.ttlMs / 3 : Number.POSITIVE_INFINITY);
    this.#timerIsStrategy = byStrategy <= byServer;
    this.#setTimer(Math.min(byStrategy, byServer, this.#deadline));
  }

  /** Whether the timer is only a safety net. */
  get #isNotified(): boolean {
    return this.spec.retry === undefined && this.#engine.driver.watch !== undefined;
  }

  /** Undefined when the strategy is used up. @throws RangeError for an interval that is none. */
  #nextInterval(): number | undefined {
    const { spec, key } = this;
    this.#intervals ??= (spec.retry ?? (this.#isNotified ? watchedBackoff : polledBackoff))[Symbol.iterator]();
    if (typeof this.#intervals?.next !== "function")
      throw new TypeError("retry must be an iterable of milliseconds: its iterator has no next");
    const step: IteratorResult<unknown> | undefined = this.#intervals.next();
    if (step?.done === true) return undefined;
    const value = step?.value;
    if (typeof value !== "number" || !(value >= 0))
      throw new RangeError(`retry must yield milliseconds, 0 or more, for ${key}: got ${describe(value)}`);
    return value;
  }

  #giveUp(now: number): void {
    if (this.#isOver) return;
    const { spec, gate } = this;
    const error = this.#error ?? gate.lastError;
    const holder = this.#holder ?? gate.inTheWay(now);
    if (error !== undefined) this.fail(error);
    else if (spec.waitMs === 0) this.refuse(holder);
    else this.#timeOut(holder, now);
  }

  #timeOut(holder: Holder | undefined, now: number): void {
    const { key } = this;
    const waitedMs = now - this.startedAt;
    this.fail(new LockTimeoutError(key, waitedMs, holder));
    this.#engine.events.emit("timeout", { key, waitedMs, holder });
  }

  /** The caller's signal: not a failure, and the reason is the caller's own. */
  #abort(reason: unknown): void {
    this.#end();
    this.#reject(reason);
  }

  #end(): void {
    const attempting = this.state === "attempting";
    this.#settle();
    // What is still under way is cleaned up when its outcome is known.
    if (!attempting) this.#cleanUp(this.#engine.clock.now());
    this.gate.left(this);
  }

  #settle(): void {
    this.state = "settled";
    this.#engine.schedule.delete(this);
    this.#stopListening?.();
    this.whenSettled?.();
    this.#engine.stats.waiting--;
  }

  #finish(handle: LockHandle, now: number, handedOff: boolean): void {
    const { stats, events, logger } = this.#engine;
    const waitedMs = now - this.startedAt;
    this.#count(false);
    stats.waitMs.add(waitedMs);
    logger?.info({ ...fieldsOf(this.key, handle.owner, handle.token), waited_ms: Math.round(waitedMs) }, "lock acquired");
    if (events.has("acquired"))
      events.emit("acquired", { key: this.key, owner: handle.owner, token: String(handle.token), waitedMs, handedOff });
    this.#resolve(handle);
  }

  #count(failed: boolean): void {
    const { stats, failureRate, clock } = this.#engine;
    stats.total++;
    if (failed) stats.failed++;
    failureRate?.add(failed, clock.now());
  }

  /** Whatever this owner may have left on the server is taken back. An owner the user gave is never undone: it may hold the key elsewhere. */
  #cleanUp(now: number): void {
    if (this.spec.owner !== undefined) return;
    if (this.#ghostUntil > now) this.#undo(this.#ghostUntil, false);
    else if (this.#hasPlace) this.#undo(now + this.spec.ttlMs, true);
  }

  /**
   * Back in the local line nobody asks for this owner, so a place it keeps on the server would only be in the way of others. What is given up is
   * on its way to the server, so the owner is not used again.
   */
  #startAfresh(): void {
    if (!this.#hasPlace && this.#ghostUntil === 0) return;
    this.#cleanUp(this.#engine.clock.now());
    this.#hasPlace = false;
    this.#ghostUntil = 0;
    this.#owner = this.spec.owner;
  }

  #undoGrant(token: bigint, now: number): void {
    if (this.spec.owner !== undefined) return;
    this.#undo(now + ghostWindowMs(this.spec.ttlMs), true, token);
    this.#cleanUp(now);
    this.#ghostUntil = 0;
  }

  #undo(until: number, untilAnswered: boolean, token?: bigint): void {
    const { key, owner, spec } = this;
    const timeoutMs = spec.attemptTimeoutMs;
    this.#engine.undo.add({ key, owner, until, untilAnswered, timeoutMs, ...(token === undefined ? {} : { token }) });
  }

  #setTimer(at: number): void {
    // A wait that only the strategy bounds has no deadline, but keeps the process alive like any other.
    this.#engine.schedule.set(this, Math.min(at, Number.MAX_SAFE_INTEGER));
  }
}

function claimOf(key: string, owner: string, { ttlMs, mode, limit, queue, metadata }: AcquireSpec): AcquireClaim {
  const claim: { -readonly [K in keyof AcquireClaim]: AcquireClaim[K] } = { key, owner, ttlMs, mode };
  if (limit !== undefined) claim.limit = limit;
  if (queue) claim.queue = true;
  if (metadata !== undefined) claim.metadata = metadata;
  return claim;
}

/** A holder as people see it: with a token that compares with those of locks. */
export function publicHolder({ owner, token, mode, remainingMs, heldMs, metadata }: Holder): Holder {
  const holder = { owner, token: publicToken(token, 0), mode, remainingMs, heldMs };
  return metadata === undefined ? holder : { ...holder, metadata };
}
