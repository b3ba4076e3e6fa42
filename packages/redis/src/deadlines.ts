/** Many deadlines on one timer: a timer for each request would cost more than its bookkeeping here. */
import type { Clock, Timer } from "@dlock/core";

export interface Deadline {
  readonly endsAt: number;
  readonly over: () => void;
}

export class Deadlines {
  readonly #clock: Clock;
  readonly #pending = new Set<Deadline>();
  #timer: Timer | undefined;
  #dueAt = Number.POSITIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(deadline: Deadline): void {
    this.#pending.add(deadline);
    if (deadline.endsAt < this.#dueAt) this.#arm(deadline.endsAt);
  }

  /** The timer stays: the next request is likely to need it. */
  remove(deadline: Deadline): void {
    this.#pending.delete(deadline);
  }

  /** Lets all pass by. */
  close(): void {
    this.#timer?.cancel();
    this.#pending.clear();
  }

  #arm(dueAt: number): void {
    this.#timer?.cancel();
    this.#dueAt = dueAt;
    // Whoever waits has a connection, which keeps the process alive.
    this.#timer = this.#clock.setTimer(() => this.#fire(), Math.max(0, dueAt - this.#clock.now()), false);
  }

  #fire(): void {
    const now = this.#clock.now();
    let next = Number.POSITIVE_INFINITY;
    const over: Deadline[] = [];
    for (const deadline of this.#pending) {
      if (deadline.endsAt <= now) over.push(deadline);
      else next = Math.min(next, deadline.endsAt);
    }
    this.#dueAt = Number.POSITIVE_INFINITY;
    if (next < this.#dueAt) this.#arm(next);
    for (const deadline of over) {
      this.#pending.delete(deadline);
      deadline.over();
    }
  }
}
