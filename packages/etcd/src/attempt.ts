/** One call of the contract: its deadline, and whether anything it sent was left without an answer. */
import { type Clock, systemClock } from "@dlock/core";

export class Attempt {
  readonly clock: Clock;
  /** Whether a message that may have changed something got no answer: a later answer then does not tell who did what. */
  uncertain = false;
  readonly #deadline: number;

  constructor(timeoutMs: number, clock: Clock = systemClock) {
    this.clock = clock;
    this.#deadline = clock.now() + timeoutMs;
  }

  get leftMs(): number {
    return this.#deadline - this.clock.now();
  }

  /** Waits, but not past the deadline. */
  pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.clock.setTimer(resolve, Math.min(ms, Math.max(0, this.leftMs)), true);
    });
  }
}
