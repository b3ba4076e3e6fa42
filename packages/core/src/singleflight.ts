/** One call in flight for a key in this process; all callers share its value or its error, and nothing is kept afterwards. */
import { onAbort } from "./abort.js";

export class Flights {
  readonly #flights = new Map<string, Promise<unknown>>();

  /** @param signal ends this caller's wait only; the call goes on for the others. */
  run<T>(key: string, call: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    let flight = this.#flights.get(key) as Promise<T> | undefined;
    if (flight === undefined) {
      flight = call();
      this.#flights.set(key, flight);
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
