/**
 * Looks on from outside, on true time: does anyone else believe to hold what is granted, does its token grow, does anyone believe in a lease
 * that the server has ended, and does anyone wait too long or go before others?
 */
import type { Holder, Lock } from "../../src/index.ts";

export interface Hold {
  readonly lock: Lock;
  readonly client: string;
  readonly mode: "exclusive" | "shared";
  readonly limit: number | undefined;
  /** Holds of one owner that the user gave are one holder. */
  readonly holder: string;
  readonly ttlMs: number;
  /** Whether there is a bound on the time it may be held. */
  readonly bounded: boolean;
}

/** Somebody who asks for a lock, and waits until it is granted. */
export interface Waiter {
  readonly key: string;
  readonly client: string;
  readonly mode: "exclusive" | "shared";
  /** True time. */
  readonly since: number;
}

/** A key that is free is noticed by a notification or because the holder's time is over, and asked for at once. */
const noticedMs = 150;

export class Judge {
  readonly faults: string[] = [];
  grants = 0;
  readonly #holds = new Map<string, Set<Hold>>();
  /** Who was ever granted which token of a key. */
  readonly #known = new Set<string>();
  readonly #newest = new Map<string, { token: bigint; holder: string }>();
  /** In the order in which they asked. */
  readonly #waiters = new Set<Waiter>();
  /** Until when who held a lease that the server forgot may believe in it, by key and owner. */
  readonly #forgotten = new Map<string, number>();
  readonly #log: string[] = [];
  /** True time. */
  readonly now: () => number;

  constructor(now: () => number) {
    this.now = now;
  }

  note(what: string): void {
    this.#log.push(`${this.now().toFixed(1).padStart(10)}  ${what}`);
  }

  /** What happened, for a failure's report. */
  get log(): readonly string[] {
    return this.#log;
  }

  blame(what: string): void {
    this.faults.push(what);
    this.note(`FAULT ${what}`);
  }

  granted(key: string, hold: Hold): void {
    this.grants++;
    const { lock, client, mode, ttlMs } = hold;
    this.note(`${client} granted ${key} ${mode}${hold.limit ?? ""} token ${lock.token} remaining ${lock.remainingMs.toFixed(1)}`);
    let holds = this.#holds.get(key);
    if (holds === undefined) {
      holds = new Set();
      this.#holds.set(key, holds);
    }
    if (!lock.isHeld) this.blame(`${client} was granted ${key} when its time was over`);
    const handedOn = (lock.token & 1023n) !== 0n;
    if (handedOn && !hold.bounded && lock.remainingMs < ttlMs / 2) this.blame(`${client} was handed ${key} with too little time left`);
    if (!this.#isForgotten(key, hold)) {
      const others = [...holds].filter((other) => other.lock.isHeld && other.holder !== hold.holder && !this.#isForgotten(key, other));
      this.#judgeExclusion(key, hold, others);
      this.#judgeToken(key, hold, others);
    }
    this.#known.add(`${key} ${hold.holder} ${lock.token}`);
    holds.add(hold);
  }

  /** @param live the leases of the key that the server keeps now. */
  look(key: string, live: readonly Holder[]): void {
    for (const hold of this.#holds.get(key) ?? []) {
      if (!hold.lock.isHeld || this.#isForgotten(key, hold) || live.some(({ owner }) => owner === leaseOwner(hold))) continue;
      this.blame(`${hold.client} believes to hold ${key} (token ${hold.lock.token}), and the server does not`);
    }
  }

  /** The server loses these leases, as one that restarts may: what was promised holds no longer, but only until they would have ended. */
  forget(key: string, leases: readonly Holder[]): void {
    for (const { owner, remainingMs } of leases) {
      this.note(`the server forgets that ${owner} holds ${key} for ${remainingMs.toFixed(0)}`);
      this.#forgotten.set(`${key} ${owner}`, this.now() + remainingMs);
    }
  }

  waits(waiter: Waiter): void {
    this.note(`${waiter.client} asks for ${waiter.key} (${waiter.mode})`);
    this.#waiters.add(waiter);
  }

  /** @param granted whether the wait ended with the lock. */
  waited(waiter: Waiter, granted: boolean): void {
    if (!this.#waiters.has(waiter)) return;
    for (const earlier of this.#waiters) {
      if (earlier === waiter) break;
      const sameLine = earlier.key === waiter.key && earlier.client === waiter.client;
      // Shared ones may go together, in any order.
      if (granted && sameLine && (earlier.mode === "exclusive" || waiter.mode === "exclusive"))
        this.blame(`${waiter.client} was granted ${waiter.key} (${waiter.mode}) before one that has waited longer (${earlier.mode})`);
    }
    this.#waiters.delete(waiter);
  }

  /** Nothing is in the way since `since`, and nobody is late by chance. */
  free(key: string, since: number): void {
    for (const waiter of this.#waiters) {
      const inVainMs = this.now() - Math.max(since, waiter.since);
      if (waiter.key === key && inVainMs > noticedMs) {
        this.blame(`${waiter.client} waits for ${key} (${waiter.mode}), free for ${inVainMs.toFixed(0)}`);
        this.#waiters.delete(waiter);
      }
    }
  }

  ended(key: string, hold: Hold, how: string): void {
    this.note(`${hold.client} ${how} ${key} token ${hold.lock.token}`);
    this.#holds.get(key)?.delete(hold);
  }

  #isForgotten(key: string, hold: Hold): boolean {
    return this.now() <= (this.#forgotten.get(`${key} ${leaseOwner(hold)}`) ?? Number.NEGATIVE_INFINITY);
  }

  #judgeExclusion(key: string, hold: Hold, others: readonly Hold[]): void {
    const excluding = others.find((other) => other.mode === "exclusive" || hold.mode === "exclusive");
    if (excluding !== undefined)
      this.blame(`${hold.client} was granted ${key} (${hold.mode}) while ${excluding.client} believes to hold it (${excluding.mode})`);
    // A limit concerns those granted before; the news of a later grant may travel faster.
    const earlier = new Set(others.filter((other) => other.lock.token < hold.lock.token).map((other) => other.holder));
    // An owner that has the lease already (one the user gave may have it from a call whose reply was lost) is granted it again, whatever limit it
    // names now (R4).
    const again = hold.holder.startsWith("user-") || this.#known.has(`${key} ${hold.holder} ${hold.lock.token}`);
    if (hold.limit !== undefined && earlier.size >= hold.limit && !again)
      this.blame(`${hold.client} is holder ${earlier.size + 1} of ${key}, limit ${hold.limit}`);
  }

  /** Shared holders are told apart by token too, but only an exclusive one is later than all before it. */
  #judgeToken(key: string, { lock, client, mode, holder }: Hold, others: readonly Hold[]): void {
    const newest = this.#newest.get(key) ?? { token: -1n, holder: "" };
    const reentered = lock.token === newest.token && holder === newest.holder;
    if (mode === "exclusive" && lock.token <= newest.token && !reentered)
      this.blame(`${client} was granted ${key} with token ${lock.token} after ${newest.token}`);
    if (others.some((other) => other.lock.token === lock.token)) this.blame(`two holders of ${key} have the token ${lock.token}`);
    if (lock.token > newest.token) this.#newest.set(key, { token: lock.token, holder });
  }
}

/** The owner as the server knows it: the handles of one lease add the number of the hand-off. */
function leaseOwner({ lock }: Hold): string {
  return lock.owner.replace(/#\d+$/, "");
}
