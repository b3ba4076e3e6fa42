/** Waiting, outside of any line, until a key may be free: for callers who must hold nothing meanwhile. */
import { onAbort } from "./abort.js";
import type { Holder } from "./driver.js";
import type { Engine } from "./engine.js";
import type { Entry } from "./schedule.js";
import { Watch } from "./watch.js";

/** Without a notification the key is looked at again after so long, twice as long each time. */
const firstLookMs = 10;
const lastLookMs = 500;

export class Hint implements Entry {
  slot = -1;
  readonly keepsAlive = true;
  readonly #engine: Engine;
  readonly #watch: Watch;
  readonly #stopLocal: () => void;
  #heard = false;
  #lookMs = firstLookMs;
  #wake: (() => void) | undefined;

  constructor(engine: Engine, key: string) {
    this.#engine = engine;
    const failed = (error: unknown) => engine.report(error, "watch for the release of", key);
    this.#watch = new Watch(engine, key, engine.instanceId, () => this.#hear(), failed);
    this.#stopLocal = engine.gates.onEnd(key, () => this.#hear());
  }

  /** Resolves at the next notification, when the holder's time is over, or after a while; at the latest after `waitMs`. */
  next(holder: Holder | undefined, waitMs: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const stop = signal === undefined ? () => {} : onAbort(signal, () => this.#end(stop, () => reject(signal.reason)));
      this.#wake = () => this.#end(stop, resolve);
      const lookMs = Math.min(this.#lookMs, holder?.remainingMs ?? lastLookMs, waitMs);
      this.#lookMs = Math.min(this.#lookMs * 2, lastLookMs);
      if (this.#heard || this.#engine.schedule.closed) this.#wake();
      else this.#engine.schedule.set(this, this.#engine.clock.now() + Math.max(lookMs, 1));
    });
  }

  run(): void {
    this.#wake?.();
  }

  /** The next attempt says that the provider is closed. */
  closed(): void {
    this.#wake?.();
  }

  stop(): void {
    this.#watch.stop();
    this.#stopLocal();
    this.#engine.schedule.delete(this);
  }

  #hear(): void {
    this.#heard = true;
    this.#wake?.();
  }

  #end(stop: () => void, settle: () => void): void {
    stop();
    this.#heard = false;
    this.#wake = undefined;
    this.#engine.schedule.delete(this);
    settle();
  }
}
