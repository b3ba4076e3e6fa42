/** Sweeping in a rhythm, for as long as the provider is open. */
import type { Timer } from "./clock.js";
import type { Engine } from "./engine.js";

export class Sweeper {
  readonly #engine: Engine;
  readonly #sweep: () => Promise<unknown>;
  #timer: Timer;

  constructor(engine: Engine, sweep: () => Promise<unknown>) {
    this.#engine = engine;
    this.#sweep = sweep;
    this.#timer = this.#next();
  }

  stop(): void {
    this.#timer.cancel();
  }

  /** A timer of its own: the schedule may then stand still while nothing is held. */
  #next(): Timer {
    const { clock, spec } = this.#engine;
    return clock.setTimer(() => this.#run(), spec.sweepIntervalMs, false);
  }

  #run(): void {
    this.#timer = this.#next();
    this.#sweep().catch((error: unknown) => {
      if (!this.#engine.closed) this.#engine.report(error, "sweep");
    });
  }
}
