/** One timer for everything a provider waits for: a heap of entries by time, from which any entry can leave at once. */
import type { Clock, Timer } from "./clock.js";

export interface Entry {
  /** When to run, on the schedule's clock. Written by the schedule. */
  at: number;
  /** Place in the heap; −1 while not scheduled. Written by the schedule. */
  slot: number;
  /** Whether the process must stay alive for it: true for what somebody waits for, false for upkeep. */
  readonly keepsAlive: boolean;
  run(now: number): void;
  /** The schedule was closed: this is the last chance to tell whoever waits. */
  closed?(): void;
}

/** A suspended machine stops the timers' clock; waking this often lets the true clock be asked soon after. */
const lookEveryMs = 1_000;

/** Ten thousand leases can fall due together: the event loop turns after so many, and the batches they make go out one by one. */
const mostAtOnce = 500;

export class Schedule {
  readonly #clock: Clock;
  readonly #heap: Entry[] = [];
  #timer: Timer | undefined;
  #timerAt = Number.POSITIVE_INFINITY;
  /** How many entries keep the process alive; the timer does so while it is not 0. */
  #vital = 0;
  #running = false;
  #closed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Adds an entry, or moves it. */
  set(entry: Entry, at: number): void {
    if (this.#closed) return;
    if (entry.slot >= 0) {
      const earlier = at < entry.at;
      entry.at = at;
      if (earlier) this.#rise(entry);
      else this.#sink(entry);
    } else {
      entry.at = at;
      entry.slot = this.#heap.length;
      this.#heap.push(entry);
      this.#rise(entry);
      if (entry.keepsAlive && this.#vital++ === 0) this.#timer?.keepAlive(true);
    }
    if (!this.#running) this.#arm();
  }

  /** Takes an entry out; harmless when it is not in. */
  delete(entry: Entry): void {
    if (entry.slot < 0) return;
    const last = this.#heap.pop() as Entry;
    if (last !== entry) {
      last.slot = entry.slot;
      this.#heap[last.slot] = last;
      this.#rise(last);
      this.#sink(last);
    }
    entry.slot = -1;
    // The timer stays: it is cheaper to let it find nothing than to stop and start one for every short lock.
    if (entry.keepsAlive && --this.#vital === 0) this.#timer?.keepAlive(false);
  }

  /** Keeps the process alive until `work` has settled: somebody waits for it. */
  async keepAliveFor<T>(work: Promise<T>): Promise<T> {
    const entry: Entry = { at: 0, slot: -1, keepsAlive: true, run: () => {} };
    this.set(entry, Number.MAX_SAFE_INTEGER);
    try {
      return await work;
    } finally {
      this.delete(entry);
    }
  }

  get size(): number {
    return this.#heap.length;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Drops every entry and the timer, and says so to those who asked; nothing can be added any more. */
  close(): void {
    this.#closed = true;
    const dropped = this.#heap.splice(0);
    for (const entry of dropped) entry.slot = -1;
    this.#vital = 0;
    this.#stopTimer();
    for (const entry of dropped) entry.closed?.();
  }

  #arm(): void {
    const first = this.#heap[0];
    if (first === undefined || first.at >= this.#timerAt) return;
    const now = this.#clock.now();
    this.#stopTimer();
    const delay = Math.min(Math.max(first.at - now, 0), lookEveryMs);
    this.#timerAt = now + delay;
    this.#timer = this.#clock.setTimer(this.#fire, delay, this.#vital > 0);
  }

  readonly #fire = () => {
    this.#timer = undefined;
    this.#timerAt = Number.POSITIVE_INFINITY;
    this.#running = true;
    const now = this.#clock.now();
    try {
      let left = mostAtOnce;
      for (let first = this.#heap[0]; first !== undefined && first.at <= now && left-- > 0; first = this.#heap[0]) {
        this.delete(first);
        first.run(now);
      }
    } finally {
      this.#running = false;
      this.#arm();
    }
  };

  #stopTimer(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#timerAt = Number.POSITIVE_INFINITY;
  }

  #rise(entry: Entry): void {
    const heap = this.#heap;
    let slot = entry.slot;
    while (slot > 0) {
      const above = (slot - 1) >> 1;
      const parent = heap[above] as Entry;
      if (parent.at <= entry.at) break;
      heap[slot] = parent;
      parent.slot = slot;
      slot = above;
    }
    heap[slot] = entry;
    entry.slot = slot;
  }

  #sink(entry: Entry): void {
    const heap = this.#heap;
    let slot = entry.slot;
    for (;;) {
      let below = 2 * slot + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && (heap[below + 1] as Entry).at < (heap[below] as Entry).at) below++;
      const child = heap[below] as Entry;
      if (child.at >= entry.at) break;
      heap[slot] = child;
      child.slot = slot;
      slot = below;
    }
    heap[slot] = entry;
    entry.slot = slot;
  }
}
