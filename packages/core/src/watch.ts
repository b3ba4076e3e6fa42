/** The watch of a gate: one while somebody waits, started when the server first refuses, told to the gate as wake-ups. */
import type { Engine } from "./engine.js";

export class Watch {
  readonly owner: string;
  readonly #engine: Engine;
  readonly #key: string;
  #stopped = false;
  #stop: (() => void) | undefined;

  /**
   * @param wake is called for each notification, and once when the watch stands: what was released before that was not seen.
   * @param failed is called when the watch cannot stand; the timers of the waiters go on without it.
   */
  constructor(engine: Engine, key: string, owner: string, wake: () => void, failed: (error: unknown) => void) {
    this.#engine = engine;
    this.#key = key;
    this.owner = owner;
    const heard = () => {
      if (!this.#stopped) wake();
    };
    let standing: Promise<() => void>;
    try {
      standing = Promise.resolve(engine.driver.watch?.({ key, owner }, heard) ?? (() => {}));
    } catch (error) {
      standing = Promise.reject(error);
    }
    standing.then(
      (stop) => {
        this.#stop = stop;
        if (this.#stopped) this.stop();
        else wake();
      },
      (error) => {
        if (!this.#stopped) failed(error);
      },
    );
  }

  stop(): void {
    this.#stopped = true;
    const stop = this.#stop;
    this.#stop = undefined;
    try {
      stop?.();
    } catch (error) {
      // It should not throw, but whoever is about to get the lock has nothing to do with it.
      this.#engine.report(error, "end the watch for the release of", this.#key);
    }
  }
}
