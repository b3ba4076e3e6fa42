/** Many deadlines on one timer: a timer for each request would cost more than its bookkeeping here. */
import type { Clock, Timer } from "@dlock/core";

export interface Deadline {
  readonly endsAt: number;
  readonly over: () => void;
  /** Its place among those pending. */
  place: number;
}

export class Deadlines {
  readonly #clock: Clock;
  /** In no order: what is removed gives its place to the last one. */
  readonly #pending: Deadline[] = [];
  #timer: Timer | undefined;
  #dueAt = Number.POSITIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(endsAt: number, over: () => void): Deadline {
    const deadline = { endsAt, over, place: this.#pending.length };
    this.#pending.push(deadline);
    if (endsAt < this.#dueAt) this.#arm(endsAt);
    return deadline;
  }

  /** Harmless when it is over. The timer stays: the next request is likely to need it. */
  remove(deadline: Deadline): void {
    if (this.#pending[deadline.place] !== deadline) return;
    const last = this.#pending.pop() as Deadline;
    if (last === deadline) return;
    this.#pending[deadline.place] = last;
    last.place = deadline.place;
  }

  #arm(dueAt: number): void {
    this.#timer?.cancel();
    this.#dueAt = dueAt;
    // Whoever waits has a connection, which keeps the process alive.
    this.#timer = this.#clock.setTimer(() => this.#fire(), Math.max(0, dueAt - this.#clock.now()), false);
  }

  #fire(): void {
    const now = this.#clock.now();
    this.#dueAt = Number.POSITIVE_INFINITY;
    const over: Deadline[] = [];
    let next = Number.POSITIVE_INFINITY;
    for (const deadline of this.#pending) {
      if (deadline.endsAt <= now) over.push(deadline);
      else next = Math.min(next, deadline.endsAt);
    }
    if (next < this.#dueAt) this.#arm(next);
    // When the event loop was blocked, timers run before what has come is read: a turn later it has been, and those answered are removed.
    if (over.length > 0) this.#clock.setTimer(() => this.#end(over), 1, true);
  }

  #end(over: readonly Deadline[]): void {
    for (const deadline of over) {
      if (this.#pending[deadline.place] !== deadline) continue;
      this.remove(deadline);
      deadline.over();
    }
  }
}
