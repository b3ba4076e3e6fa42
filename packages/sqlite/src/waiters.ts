/** Who waits for which key, and when to wake them: after a local release, a signal, or a poll that saw another connection commit. */
import type { Claim, Clock, Timer } from "@dlock/core";
import type { Leases } from "./leases.js";
import type { LeaseRow, Statements } from "./schema.js";
import { onSignal } from "./signal.js";
import type { Store } from "./store.js";

/** The safety net for signals that were missed. A poll costs a `stat` and a `PRAGMA data_version`, about 5 µs. */
const pollMs = 25;
/** A look at all waited keys is followed by a pause this many times as long, so that a busy file cannot eat the event loop. */
const pauseFactor = 3;

interface Waiter {
  readonly owner: string;
  readonly wake: () => void;
  /** The tokens of the live leases of others when this claim was last refused or looked after. */
  seen: string;
}

export class Waiters {
  readonly #store: Store;
  readonly #leases: Leases;
  readonly #clock: Clock;
  readonly #keys = new Map<string, Set<Waiter>>();
  #signal: { stop(): void; repair(): void } | undefined;
  #pollTimer: Timer | undefined;
  #lookTimer: Timer | undefined;
  #lookAgainAt = Number.NEGATIVE_INFINITY;
  #dataVersion = -1;

  constructor(store: Store, leases: Leases, clock: Clock) {
    this.#store = store;
    this.#leases = leases;
    this.#clock = clock;
  }

  /** Returns how to stop. */
  add(claim: Claim, wake: () => void): () => void {
    const waiter: Waiter = { owner: claim.owner, wake, seen: "" };
    const waiters = this.#keys.get(claim.key) ?? new Set();
    this.#keys.set(claim.key, waiters.add(waiter));
    if (this.#signal === undefined) this.#start();
    // The key may have come free between the refusal and now, before anybody watched.
    this.#lookAt([claim.key]);
    return () => {
      waiters.delete(waiter);
      if (waiters.size === 0 && this.#keys.get(claim.key) === waiters) this.#keys.delete(claim.key);
      if (this.#keys.size === 0) this.stop();
    };
  }

  /** A claim was refused because of these leases: only another state of the key is news for those who wait. */
  refused(key: string, rows: readonly LeaseRow[]): void {
    const now = this.#leases.clock.now();
    for (const waiter of this.#keys.get(key) ?? []) waiter.seen = this.#others(rows, waiter.owner, now).tokens;
  }

  /** Leases of these keys were ended by this connection. */
  released(keys: readonly string[]): void {
    const waited = keys.filter((key) => this.#keys.has(key));
    // Not inside the caller's release: its promise settles first.
    if (waited.length > 0) queueMicrotask(() => this.#lookAt(waited));
  }

  stop(): void {
    this.#signal?.stop();
    this.#signal = undefined;
    this.#pollTimer?.cancel();
    this.#lookTimer?.cancel();
    this.#lookTimer = undefined;
  }

  #start(): void {
    this.#signal = onSignal(signalFile(this.#store), () => this.#look());
    this.#pollLater();
  }

  #pollLater(): void {
    this.#pollTimer = this.#clock.setTimer(() => this.#poll(), pollMs, false);
  }

  #poll(): void {
    this.#pollLater();
    this.#signal?.repair();
    const version = this.#tryRead((sql) => sql.dataVersion());
    // An unreadable file is looked at until it is readable again: its waiters learn of what they missed, or of the fault.
    if (version === undefined || version !== this.#dataVersion) this.#look();
    this.#dataVersion = version ?? -1;
  }

  /** Looks at every waited key, at once or as soon as the pause after the last look is over. */
  #look(): void {
    const start = this.#clock.now();
    if (start < this.#lookAgainAt) {
      this.#lookTimer ??= this.#clock.setTimer(
        () => {
          this.#lookTimer = undefined;
          this.#look();
        },
        this.#lookAgainAt - start,
        false,
      );
      return;
    }
    this.#lookAt([...this.#keys.keys()]);
    const end = this.#clock.now();
    this.#lookAgainAt = end + (end - start) * pauseFactor;
  }

  /** Wakes the waiters of those keys that changed since they were refused and are not held exclusively by another. */
  #lookAt(keys: readonly string[]): void {
    const rows = this.#tryRead((sql) => new Map(keys.map((key) => [key, sql.leasesOf(key)])));
    const now = this.#leases.clock.now();
    for (const key of keys) {
      for (const waiter of [...(this.#keys.get(key) ?? [])]) {
        const others = rows === undefined ? unreadable : this.#others(rows.get(key) ?? [], waiter.owner, now);
        const changed = others.tokens !== waiter.seen || others.tokens === "";
        waiter.seen = others.tokens;
        if (changed && !others.exclusive) waiter.wake();
      }
    }
  }

  #others(rows: readonly LeaseRow[], owner: string, now: bigint): { tokens: string; exclusive: boolean } {
    const others = rows.filter((row) => row.owner !== owner && this.#leases.remaining(row, now) > 0n);
    return { tokens: others.map((row) => row.token).join(), exclusive: others.some((row) => row.mode === "exclusive") };
  }

  /** Undefined when the file cannot be read. */
  #tryRead<T>(body: (sql: Statements) => T): T | undefined {
    try {
      return this.#store.read(body);
    } catch {
      return undefined;
    }
  }
}

/** What the waiters of an unreadable file are to see: they are woken, for an attempt tells them what is wrong. */
const unreadable = { tokens: "unreadable", exclusive: false };

export function signalFile(store: Store): string {
  return `${store.path}-dlock-signal`;
}
