/** One call in flight for a key in this process; all callers share its value or its error, and nothing is kept afterwards. */
import { AsyncLocalStorage } from "node:async_hooks";
import { onAbort } from "./abort.js";
import { DeadlockError } from "./errors.js";

export class Flights {
  readonly #flights = new Map<string, Promise<unknown>>();
  /** The keys of the calls that the present context is part of. */
  readonly #inside = new AsyncLocalStorage<readonly string[]>();

  /**
   * @param signal ends this caller's wait only; the call goes on for the others.
   * @throws DeadlockError in a call that would wait for its own end.
   */
  run<T>(key: string, call: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    let flight = this.#flights.get(key) as Promise<T> | undefined;
    const inside = this.#inside.getStore() ?? [];
    if (flight !== undefined && inside.includes(key)) return Promise.reject(new DeadlockError(key, "this very call is the one in flight"));
    if (flight === undefined) {
      let begin: (work: Promise<T>) => void = () => {};
      flight = new Promise((resolve) => {
        begin = resolve;
      });
      // Known before it begins: it may ask for itself at once.
      this.#flights.set(key, flight);
      begin(this.#inside.run([...inside, key], call));
      const end = () => this.#flights.delete(key);
      flight.then(end, end);
    }
    return signal === undefined ? flight : abortable(flight, signal);
  }
}

function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const stop = onAbort(signal, () => reject(signal.reason));
    work.then(resolve, reject).finally(stop);
  });
}
