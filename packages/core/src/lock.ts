/** The handle of one acquisition and its states: held → lost, or held → released (at risk is held, with a warning). */
import type { Acquisition } from "./acquire.js";
import { LockLostError, LockNotHeldError, type LossReason } from "./errors.js";
import type { Lease } from "./lease.js";
import { checkKnown, checkNumber } from "./options.js";
import { refresh } from "./renewer.js";
import { publicToken } from "./token.js";

/** A lock that was granted. Everything about it is computed when it is read, so it is right even directly after a blocked event loop. */
export interface Lock extends AsyncDisposable {
  readonly key: string;
  /** Names this hold; `provider.unlock(key, owner)` takes it. */
  readonly owner: string;
  /** The fencing token: greater than that of every earlier holder of the key. Hand it to what the lock protects. */
  readonly token: bigint;
  readonly mode: "exclusive" | "shared";
  /** Whether the lock is certainly still ours (as far as the server keeps a lease for its TTL). */
  readonly isHeld: boolean;
  /** Milliseconds until the lock is lost unless it is renewed; 0 when it is not held. */
  readonly remainingMs: number;
  /** Aborts, with a {@link LockLostError} as its reason, when the lock is lost; never because it was released. Keeps the handle alive. */
  readonly signal: AbortSignal;
  /**
   * Renews now.
   *
   * @param ttlMs the new TTL in ms, 10 to 2^31 − 1; default the lock's own. A shorter one shortens nothing.
   * @throws LockNotHeldError when the lock is released, lost or gone; LockBackendError when the server did not answer: the lock is then
   * held until its deadline.
   */
  refresh(ttlMs?: number): Promise<void>;
  /**
   * Renews from now on in this rhythm instead of the default one. Resolves at unlock, rejects with a LockLostError when the lock is lost;
   * a caller who does not care may drop the promise.
   */
  autoRefresh(options?: AutoRefreshOptions): Promise<void>;
  /**
   * Lets go. Idempotent. Resolves to whether the lock was still ours: false after a loss.
   *
   * @throws LockBackendError when the server did not answer; the release goes on in the background, at worst the TTL ends the lease.
   */
  unlock(): Promise<boolean>;
}

export interface AutoRefreshOptions {
  /** Effect: time between renewals. Unit: ms. Range: 1 to 2^31 − 1. @default a third of the TTL. Trap: at the TTL or above it comes too late. */
  intervalMs?: number;
  /** Effect: how long one renewal may take. Unit: ms. Range: 1 to 2^31 − 1. @default the lock's `attemptTimeoutMs` */
  timeoutMs?: number;
  /** Effect: the lock is given up, as lost, so long after now. Unit: ms. Range: 1 to 2^31 − 1. @default no bound */
  maxHoldMs?: number;
}

export class LockHandle implements Lock {
  /** When it was granted, on the engine's clock. */
  readonly acquiredAt: number;
  /** Until when it may be held, on the same clock. */
  maxHoldAt: number;
  readonly #lease: Lease;
  readonly #handOff: number;
  #released: Promise<boolean> | undefined;
  #lost: LossReason | undefined;
  #controller: AbortController | undefined;
  #ending: { resolve(): void; reject(error: unknown): void }[] | undefined;

  constructor(lease: Lease, handOff: number, now: number, maxHoldAt: number) {
    this.#lease = lease;
    this.#handOff = handOff;
    this.acquiredAt = now;
    this.maxHoldAt = maxHoldAt;
  }

  get key(): string {
    return this.#lease.key;
  }

  get owner(): string {
    return ownerOf(this.#lease, this.#handOff);
  }

  get token(): bigint {
    return publicToken(this.#lease.token, this.#handOff);
  }

  get mode(): "exclusive" | "shared" {
    return this.#lease.spec.mode;
  }

  get isHeld(): boolean {
    return this.remainingMs > 0;
  }

  get remainingMs(): number {
    if (this.#released !== undefined || this.#lost !== undefined) return 0;
    const { deadline, maxHoldAt, engine } = this.#lease;
    return Math.max(Math.min(deadline, maxHoldAt) - engine.clock.now(), 0);
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      this.#lease.keep(this);
      if (this.#lost !== undefined) this.#controller.abort(new LockLostError(this.key, this.#lost));
    }
    return this.#controller.signal;
  }

  /** Whether somebody waits to be told of a loss. */
  get isObserved(): boolean {
    return this.#controller !== undefined || this.#ending !== undefined;
  }

  /** Why it was lost, if that was told; a release finds out. */
  get loss(): LossReason | undefined {
    return this.#lost;
  }

  async refresh(ttlMs?: number): Promise<void> {
    if (ttlMs !== undefined) checkNumber("ttlMs", ttlMs, 10);
    if (!this.isHeld) throw this.#notHeld();
    await refresh(this.#lease, ttlMs ?? this.#lease.ttlMs);
  }

  autoRefresh(options: AutoRefreshOptions = {}): Promise<void> {
    const ended = this.#autoRefresh(options);
    // Dropping the promise is allowed: the loss is told by the signal and the event too.
    ended.catch(() => {});
    return ended;
  }

  async #autoRefresh(options: AutoRefreshOptions): Promise<void> {
    checkKnown("autoRefresh options", options, ["intervalMs", "timeoutMs", "maxHoldMs"]);
    const { intervalMs, timeoutMs, maxHoldMs } = options;
    if (intervalMs !== undefined) checkNumber("intervalMs", intervalMs, 1);
    if (timeoutMs !== undefined) checkNumber("timeoutMs", timeoutMs, 1);
    if (maxHoldMs !== undefined) checkNumber("maxHoldMs", maxHoldMs, 1);
    if (!this.isHeld) throw this.#notHeld();
    const now = this.#lease.engine.clock.now();
    if (maxHoldMs !== undefined) {
      this.maxHoldAt = now + maxHoldMs;
      this.#lease.boundHolds();
    }
    this.#lease.renewInRhythm(intervalMs, timeoutMs, now);
    await new Promise<void>((resolve, reject) => {
      this.#ending ??= [];
      this.#ending.push({ resolve, reject });
      this.#lease.keep(this);
    });
  }

  /** A further hold of the same lease, for the same async context. */
  shareWith(acquisition: Acquisition): void {
    this.#lease.gate.join(this.#lease, acquisition);
  }

  unlock(): Promise<boolean> {
    let begin = () => {};
    // Known before it begins: a listener of the end it causes may call it again.
    this.#released ??= new Promise((resolve, reject) => {
      begin = () => this.#unlock(resolve, reject);
    });
    begin();
    return this.#released;
  }

  #unlock(resolve: (held: boolean) => void, reject: (error: unknown) => void): void {
    const now = this.#lease.engine.clock.now();
    if (!this.#lease.isHeldAt(now)) {
      this.#lease.letGoLost();
      resolve(false);
      return;
    }
    for (const ending of this.#ending ?? []) ending.resolve();
    this.#lease.letGo(this, now, resolve, reject);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.unlock();
  }

  /** Called by the lease, once. */
  onLost(reason: LossReason): void {
    this.#lost = reason;
    const error = new LockLostError(this.key, reason);
    for (const { reject } of this.#ending ?? []) reject(error);
    this.#controller?.abort(error);
  }

  #notHeld(): LockNotHeldError {
    return new LockNotHeldError(this.key, this.#released === undefined ? "it was lost" : "it was released");
  }
}

/** The owner people see: the lease's, with the hand-off it belongs to, unless the user gave it. */
export function ownerOf(lease: Lease, handOff: number): string {
  return lease.spec.owner ?? `${lease.owner}#${handOff}`;
}
