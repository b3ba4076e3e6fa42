/** A graceful end: when the process is told to stop, everything is released in one batch, and then it ends as it would have. */
import { constants } from "node:os";
import { systemClock } from "./clock.js";
import { checkKnown, checkNumber } from "./options.js";

export interface CloseOnExitOptions {
  /** Effect: the signals that end the process. @default ["SIGTERM", "SIGINT"] */
  signals?: readonly NodeJS.Signals[];
  /** Effect: how long to wait for the release before ending anyway. Unit: ms. Range: 1 to 2^31 − 1. @default 2,000 */
  timeoutMs?: number;
}

/** The listeners of all calls: any other at the same signal means that somebody else ends the process, when they see fit. */
const ours = new WeakSet<object>();

/**
 * Closes `closable` (a provider, or a manager of several) at SIGTERM, SIGINT and `beforeExit`, and then lets the process end with the code it
 * would have had: a signal is sent again once ours is the last word, so that its exit code is the usual one. When others listen to the signal
 * too, ending the process is theirs. `process.exit()` closes nothing: what is held then ends with its TTL. Returns how to stop listening.
 *
 * @throws TypeError or RangeError that names the argument.
 */
export function closeOnExit(closable: { close(): Promise<void> }, options: CloseOnExitOptions = {}): () => void {
  checkKnown("closeOnExit options", options, ["signals", "timeoutMs"]);
  const { signals = ["SIGTERM", "SIGINT"], timeoutMs = 2_000 } = options;
  checkNumber("timeoutMs", timeoutMs, 1);
  if (!Array.isArray(signals) || !signals.every(canBeHeard))
    throw new TypeError('signals must be an array of names of signals that a process can hear, such as "SIGTERM"');
  if (typeof closable?.close !== "function") throw new TypeError("closable must have a method close");
  let closing: Promise<void> | undefined;
  const close = () => {
    closing ??= within(timeoutMs, (async () => closable.close())());
    return closing;
  };
  const onSignal = (signal: NodeJS.Signals) => {
    // Asked now: a listener added with `once` is gone by the time the work is done.
    const isOurs = process.listeners(signal).every((listener) => ours.has(listener));
    void close().then(() => {
      stop();
      if (isOurs && process.listenerCount(signal) === 0) end(signal);
    });
  };
  ours.add(onSignal);
  const onBeforeExit = () => void close();
  const stop = () => {
    for (const signal of signals) process.off(signal, onSignal);
    process.off("beforeExit", onBeforeExit);
  };
  // First, so that it sees those who listen once.
  for (const signal of signals) process.prependListener(signal, onSignal);
  process.on("beforeExit", onBeforeExit);
  return stop;
}

function canBeHeard(signal: unknown): boolean {
  return typeof signal === "string" && signal in constants.signals && signal !== "SIGKILL" && signal !== "SIGSTOP";
}

function end(signal: NodeJS.Signals): void {
  // The first process of a container has no default action for signals: to it, sending one does nothing.
  if (process.pid === 1) process.exit(128 + constants.signals[signal]);
  process.kill(process.pid, signal);
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
