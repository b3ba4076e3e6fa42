/** Typed events. A listener that throws never breaks a lock: its error goes to the `error` event, or to the log. */
import type { Holder } from "./driver.js";
import type { LossReason } from "./errors.js";
import type { FailureRate } from "./failure-rate.js";

/** What is told of a lock; tokens are decimal strings so that any dashboard can take them. */
export interface LockEvent {
  readonly key: string;
  readonly owner: string;
  readonly token: string;
}

export interface LockEvents {
  /** A lock was granted, or a further hold of one. `waitedMs`: since the call. `handedOff`: by a holder of this process, without the server. */
  acquired: LockEvent & { readonly waitedMs: number; readonly handedOff: boolean };
  /** The server refused an attempt: someone else holds the key. */
  contended: { readonly key: string; readonly holder: Holder | undefined };
  /** The lease was renewed. */
  renewed: LockEvent & { readonly remainingMs: number };
  /** Renewals fail; unless one succeeds the lock will be lost in `remainingMs`. */
  "at-risk": LockEvent & { readonly remainingMs: number; readonly cause: unknown };
  /** The lease may have ended while the lock was held. */
  lost: LockEvent & { readonly reason: LossReason };
  /** The holder let go. `heldMs`: how long it held. `handedOff`: the lease went to the next waiter of this process. */
  released: LockEvent & { readonly heldMs: number; readonly handedOff: boolean };
  /** A wait ended without the lock. */
  timeout: { readonly key: string; readonly waitedMs: number; readonly holder: Holder | undefined };
  /** A lock is held for longer than `heldLongMs`; told once. */
  "held-long": LockEvent & { readonly heldMs: number };
  /** Too many acquisitions of late have failed, or no longer do; see `failureRate`. */
  "failure-rate": FailureRate;
  /**
   * With `detectDeadlocks`: a circle of waiters was broken, or (an `inversion`, told once) two keys were taken in both orders, which will be a
   * deadlock one day. `where`: a line of the stack for each.
   */
  deadlock: { readonly kind: "circle" | "inversion"; readonly keys: readonly string[]; readonly where: readonly string[] };
  /** Ended leases were swept away. */
  swept: { readonly count: number };
  /** Something failed that no call could report: a release, a sweep, a watch, a listener. */
  error: { readonly error: unknown; readonly doing: string; readonly key: string | undefined };
}

export type LockEventName = keyof LockEvents;

const known: Readonly<Record<LockEventName, true>> = {
  acquired: true,
  contended: true,
  renewed: true,
  "at-risk": true,
  lost: true,
  released: true,
  timeout: true,
  "held-long": true,
  "failure-rate": true,
  deadlock: true,
  swept: true,
  error: true,
};

export class Events {
  readonly #listeners = new Map<LockEventName, Set<(event: never) => void>>();
  readonly #lastResort: (error: unknown, doing: string) => void;

  /** @param lastResort gets the errors of `error` listeners themselves. */
  constructor(lastResort: (error: unknown, doing: string) => void) {
    this.#lastResort = lastResort;
  }

  on<N extends LockEventName>(name: N, listener: (event: LockEvents[N]) => void): () => void {
    // A misspelt name would otherwise be silence.
    if (typeof name !== "string" || !Object.hasOwn(known, name))
      throw new TypeError(`event must be one of ${Object.keys(known).join(", ")}`);
    if (typeof listener !== "function") throw new TypeError("listener must be a function");
    let listeners = this.#listeners.get(name);
    if (listeners === undefined) {
      listeners = new Set();
      this.#listeners.set(name, listeners);
    }
    // Wrapped, so that the same function can be added twice and each `off` ends its own.
    const own = (event: never) => listener(event);
    listeners.add(own);
    return () => {
      listeners.delete(own);
      if (listeners.size === 0 && this.#listeners.get(name) === listeners) this.#listeners.delete(name);
    };
  }

  /** Whether anyone listens: events that nobody hears are not even made. */
  has(name: LockEventName): boolean {
    return this.#listeners.has(name);
  }

  emit<N extends LockEventName>(name: N, event: LockEvents[N]): void {
    const listeners = this.#listeners.get(name);
    if (listeners === undefined) return;
    for (const listener of [...listeners]) {
      try {
        listener(event as never);
      } catch (error) {
        const doing = `run a listener of the event "${name}"`;
        if (name === "error" || !this.has("error")) this.#lastResort(error, doing);
        else this.emit("error", { error, doing, key: undefined });
      }
    }
  }
}
