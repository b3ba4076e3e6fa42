/** Who waits for which key, and the one timer of a watched key: leases that end by themselves wake waiters too. */
import type { Clock, Timer } from "@dlock/core";

interface Watch {
  readonly wakes: Set<() => void>;
  timer: Timer | undefined;
}

export class Watches {
  readonly #clock: Clock;
  readonly #nextEnd: (key: string, now: number) => number | undefined;
  readonly #watches = new Map<string, Watch>();

  /** @param nextEnd when the next lease or place of a key ends, in the clock's time; undefined when it has none. */
  constructor(clock: Clock, nextEnd: (key: string, now: number) => number | undefined) {
    this.#clock = clock;
    this.#nextEnd = nextEnd;
  }

  /** Returns how to stop. A key that is free already wakes soon: the release may have come between the refusal and the watch. */
  add(key: string, wake: () => void): () => void {
    const watch = this.#watches.get(key) ?? { wakes: new Set(), timer: undefined };
    this.#watches.set(key, watch);
    // Two waiters may share one function; each counts.
    const own = () => wake();
    watch.wakes.add(own);
    if (watch.timer === undefined) this.#arm(key, watch, 0);
    return () => {
      watch.wakes.delete(own);
      if (watch.wakes.size > 0 || this.#watches.get(key) !== watch) return;
      watch.timer?.cancel();
      this.#watches.delete(key);
    };
  }

  /** The key's leases or places changed; `wake` when that may let someone in. */
  changed(key: string, wake: boolean): void {
    if (this.#watches.size === 0) return;
    const watch = this.#watches.get(key);
    if (watch === undefined) return;
    if (watch.timer === undefined) this.#arm(key, watch, undefined);
    if (wake) for (const each of [...watch.wakes]) each();
  }

  /** Sets the timer to the next end, or to `otherwise` milliseconds from now (not at all when that is undefined). */
  #arm(key: string, watch: Watch, otherwise: number | undefined): void {
    const now = this.#clock.now();
    const end = this.#nextEnd(key, now);
    const ms = end === undefined ? otherwise : Math.ceil(end - now);
    if (ms === undefined) return;
    const ring = () => {
      watch.timer = undefined;
      this.#arm(key, watch, undefined);
      for (const each of [...watch.wakes]) each();
    };
    watch.timer = this.#clock.setTimer(ring, ms, false);
  }
}
