/** A graceful end: when the process is told to stop, everything is released in one batch, and then it ends as it would have. */
import { systemClock } from "./clock.js";
import { checkKnown, checkNumber } from "./options.js";

export interface CloseOnExitOptions {
  /** Effect: the signals that end the process. @default ["SIGTERM", "SIGINT"] */
  signals?: readonly NodeJS.Signals[];
  /** Effect: how long to wait for the release before ending anyway. Unit: ms. Range: 1 to 2^31 − 1. @default 2,000 */
  timeoutMs?: number;
}

/**
 * Closes `closable` (a provider, or a manager of several) at SIGTERM, SIGINT and `beforeExit`, and then lets the process end with the code it
 * would have had: a signal is sent again once ours is the last word, so that its exit code is the usual one. Other listeners of the signal keep
 * theirs. Returns how to stop listening.
 */
export function closeOnExit(closable: { close(): Promise<void> }, options: CloseOnExitOptions = {}): () => void {
  checkKnown("closeOnExit options", options, ["signals", "timeoutMs"]);
  const { signals = ["SIGTERM", "SIGINT"], timeoutMs = 2_000 } = options;
  checkNumber("timeoutMs", timeoutMs, 1);
  if (typeof closable?.close !== "function") throw new TypeError("closable must have a method close");
  let closing: Promise<void> | undefined;
  const close = () => {
    closing ??= within(timeoutMs, closable.close());
    return closing;
  };
  const onSignal = (signal: NodeJS.Signals) => {
    void close().then(() => {
      stop();
      if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
    });
  };
  const onBeforeExit = () => void close();
  const stop = () => {
    for (const signal of signals) process.off(signal, onSignal);
    process.off("beforeExit", onBeforeExit);
  };
  for (const signal of signals) process.on(signal, onSignal);
  process.on("beforeExit", onBeforeExit);
  return stop;
}

/** A failed close must not keep the process from ending; the provider has reported it. */
function within(ms: number, work: Promise<void>): Promise<void> {
  return new Promise((resolve) => {
    const timer = systemClock.setTimer(resolve, ms, true);
    const done = () => {
      timer.cancel();
      resolve();
    };
    work.then(done, done);
  });
}
