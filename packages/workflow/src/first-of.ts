/** One signal for several locks. Not `AbortSignal.any`, which keeps memory for as long as the signals live. */

/** Makes the signal when it is first asked for: most bodies never ask. It aborts with the reason of the first lock that is lost. */
export function firstOf(locks: readonly { readonly signal: AbortSignal }[]): () => AbortSignal {
  let made: AbortSignal | undefined;
  return () => {
    if (made !== undefined) return made;
    const controller = new AbortController();
    made = controller.signal;
    for (const { signal } of locks) {
      const pass = () => controller.abort(signal.reason);
      if (signal.aborted) pass();
      else signal.addEventListener("abort", pass, { once: true });
    }
    return made;
  };
}
