/** A clock that counts the timers that are set, and whose time passes only when it is told to. */
import { setImmediate as turn } from "node:timers/promises";
import type { Clock, Timer } from "@dlock/core";

export class CountingClock implements Clock {
  timersSet = 0;
  #now = 0;
  readonly #timers = new Map<object, { at: number; run: () => void }>();

  now(): number {
    return this.#now;
  }

  date(): Date {
    return new Date(this.#now);
  }

  setTimer(run: () => void, ms: number): Timer {
    this.timersSet++;
    const timer = {};
    this.#timers.set(timer, { at: this.#now + ms, run });
    return { cancel: () => this.#timers.delete(timer), keepAlive: () => {} };
  }

  /** Lets so many milliseconds pass, and all that falls due in them happen. */
  async pass(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      await turn();
      const [timer, next] = [...this.#timers].reduce<[object, { at: number; run: () => void }] | [undefined, undefined]>(
        (first, each) => (first[1] === undefined || each[1].at < first[1].at ? each : first),
        [undefined, undefined],
      );
      if (timer === undefined || next.at > end) break;
      this.#timers.delete(timer);
      this.#now = Math.max(this.#now, next.at);
      next.run();
    }
    this.#now = end;
    await turn();
  }
}
