/** One timer for everything a provider waits for: a heap of entries by time, from which any entry can leave at once. */
import type { Clock, Timer } from "./clock.js";

export interface Entry {
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

/** Each place of the heap has so many below it. More make it flatter: fewer entries move, which lie anywhere, for more times to look at, which lie together. */
const branches = 8;

export class Schedule {
  readonly #clock: Clock;
  readonly #heap: Entry[] = [];
  /** When each is to run, at the same places: beside each other they are found faster than in the entries. */
  readonly #times: number[] = [];
  #timer: Timer | undefined;
  #timerAt = Number.POSITIVE_INFINITY;
  /** How many entries keep the process alive; the timer does so while it is not 0. */
  #vital = 0;
  #running = false;
  #closed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Adds an entry, or moves it. `at` is a time of the schedule's clock. */
  set(entry: Entry, at: number): void {
    if (this.#closed) return;
    const { slot } = entry;
    if (slot < 0) {
      this.#rise(entry, at, this.#heap.length);
      if (entry.keepsAlive && this.#vital++ === 0) this.#timer?.keepAlive(true);
    } else if (at < (this.#times[slot] as number)) this.#rise(entry, at, slot);
    else this.#sink(entry, at, slot);
    if (!this.#running) this.#arm();
  }

  /** Takes an entry out; harmless when it is not in. */
  delete(entry: Entry): void {
    const { slot } = entry;
    if (slot < 0) return;
    const last = this.#heap.pop() as Entry;
    const at = this.#times.pop() as number;
    if (last !== entry) {
      if (at < (this.#times[slot] as number)) this.#rise(last, at, slot);
      else this.#sink(last, at, slot);
    }
    entry.slot = -1;
    // The timer stays: it is cheaper to let it find nothing than to stop and start one for every short lock.
    if (entry.keepsAlive && --this.#vital === 0) this.#timer?.keepAlive(false);
  }

  /** Keeps the process alive until `work` has settled: somebody waits for it. */
  async keepAliveFor<T>(work: Promise<T>): Promise<T> {
    const entry: Entry = { slot: -1, keepsAlive: true, run: () => {} };
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
    this.#times.length = 0;
    for (const entry of dropped) entry.slot = -1;
    this.#vital = 0;
    this.#stopTimer();
    for (const entry of dropped) entry.closed?.();
  }

  #arm(): void {
    const first = this.#times[0];
    if (first === undefined || first >= this.#timerAt) return;
    const now = this.#clock.now();
    this.#stopTimer();
    this.#timerAt = Math.min(first, now + lookEveryMs);
    this.#timer = this.#clock.setTimer(this.#fire, Math.max(this.#timerAt - now, 0), this.#vital > 0);
  }

  readonly #fire = () => {
    this.#timer = undefined;
    this.#timerAt = Number.POSITIVE_INFINITY;
    this.#running = true;
    const now = this.#clock.now();
    try {
      for (let left = mostAtOnce; left > 0 && (this.#times[0] ?? Number.POSITIVE_INFINITY) <= now; left--) {
        const first = this.#heap[0] as Entry;
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

  /** Puts an entry where it belongs, at `free` or above it. */
  #rise(entry: Entry, at: number, free: number): void {
    let slot = free;
    while (slot > 0) {
      const above = Math.floor((slot - 1) / branches);
      const parentAt = this.#times[above] as number;
      if (parentAt <= at) break;
      this.#place(this.#heap[above] as Entry, parentAt, slot);
      slot = above;
    }
    this.#place(entry, at, slot);
  }

  /** Puts an entry where it belongs, at `free` or below it. */
  #sink(entry: Entry, at: number, free: number): void {
    const times = this.#times;
    let slot = free;
    for (;;) {
      const first = branches * slot + 1;
      const end = Math.min(first + branches, times.length);
      let below = slot;
      let earliest = at;
      for (let child = first; child < end; child++) {
        const childAt = times[child] as number;
        if (childAt < earliest) {
          earliest = childAt;
          below = child;
        }
      }
      if (below === slot) break;
      this.#place(this.#heap[below] as Entry, earliest, slot);
      slot = below;
    }
    this.#place(entry, at, slot);
  }

  #place(entry: Entry, at: number, slot: number): void {
    this.#heap[slot] = entry;
    this.#times[slot] = at;
    entry.slot = slot;
  }
}
