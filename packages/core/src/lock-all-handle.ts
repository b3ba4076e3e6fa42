/** Many locks as one: the handle of `lockAll`. */
import { LockNotHeldError } from "./errors.js";
import type { Lock } from "./lock.js";

/** Several locks that are held together. */
export interface LockAll extends AsyncDisposable {
  readonly keys: readonly string[];
  /** The fencing token of each key. */
  readonly tokens: ReadonlyMap<string, bigint>;
  /** Whether all are certainly still held. */
  readonly isHeld: boolean;
  /** Milliseconds until the first of them is lost unless renewed. */
  readonly remainingMs: number;
  /** Aborts when any of them is lost. */
  readonly signal: AbortSignal;
  /** Renews all. @throws LockNotHeldError when any is not held. */
  refresh(ttlMs?: number): Promise<void>;
  /** Releases all. Idempotent. Resolves to whether all were still held. @throws the first error, after all were tried. */
  unlock(): Promise<boolean>;
}

/** As with a single lock, whoever still listens has not dropped it. */
const handleOfSignal = new WeakMap<AbortSignal, LockAllHandle>();

/** Many locks as one. */
export class LockAllHandle implements LockAll {
  readonly #locks: readonly Lock[];
  #released: Promise<boolean> | undefined;
  #signal: AbortSignal | undefined;

  constructor(locks: readonly Lock[]) {
    this.#locks = locks;
  }

  get keys(): readonly string[] {
    return this.#locks.map((lock) => lock.key);
  }

  get tokens(): ReadonlyMap<string, bigint> {
    return new Map(this.#locks.map((lock) => [lock.key, lock.token]));
  }

  get isHeld(): boolean {
    return this.#locks.every((lock) => lock.isHeld);
  }

  get remainingMs(): number {
    return Math.min(...this.#locks.map((lock) => lock.remainingMs));
  }

  get signal(): AbortSignal {
    if (this.#signal === undefined) {
      const controller = new AbortController();
      this.#signal = controller.signal;
      handleOfSignal.set(controller.signal, this);
      // The locks' own signals, kept by this handle alone: nothing outlives it.
      for (const { signal } of this.#locks) {
        if (signal.aborted) controller.abort(signal.reason);
        else signal.addEventListener("abort", () => controller.abort(signal.reason), { once: true });
      }
    }
    return this.#signal;
  }

  async refresh(ttlMs?: number): Promise<void> {
    if (!this.isHeld) throw new LockNotHeldError(this.keys.join(", "), "not all of these are held");
    await Promise.all(this.#locks.map((lock) => lock.refresh(ttlMs)));
  }

  unlock(): Promise<boolean> {
    this.#released ??= this.#unlock();
    return this.#released;
  }

  async #unlock(): Promise<boolean> {
    const results = await Promise.allSettled(this.#locks.map((lock) => lock.unlock()));
    const failed = results.find((result) => result.status === "rejected");
    if (failed !== undefined) throw failed.reason;
    return results.every((result) => result.status === "fulfilled" && result.value);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.unlock();
  }
}
