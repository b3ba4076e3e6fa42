/** One listener for a signal, however many operations it may abort: Node warns of a leak at the eleventh listener on one signal. */

class Watch {
  readonly runs = new Set<() => void>();
  readonly #signal: AbortSignal;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener("abort", this.#dispatch, { once: true });
  }

  end(): void {
    watches.delete(this.#signal);
    this.#signal.removeEventListener("abort", this.#dispatch);
  }

  readonly #dispatch = () => {
    watches.delete(this.#signal);
    for (const run of this.runs) run();
  };
}

const watches = new WeakMap<AbortSignal, Watch>();

/** Calls `run` when the signal aborts; it must not be aborted yet. Returns how to stop listening. */
export function onAbort(signal: AbortSignal, run: () => void): () => void {
  let watch = watches.get(signal);
  if (watch === undefined) {
    watch = new Watch(signal);
    watches.set(signal, watch);
  }
  const { runs } = watch;
  runs.add(run);
  return () => {
    if (runs.delete(run) && runs.size === 0 && watches.get(signal)?.runs === runs) watch.end();
  };
}
