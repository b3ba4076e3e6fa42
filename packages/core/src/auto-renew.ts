/** Renewing, in a rhythm, a lease that is known by key and owner only. */
import { onAbort } from "./abort.js";
import type { Engine } from "./engine.js";
import { LockBackendError } from "./errors.js";
import { checkSignal } from "./options.js";
import type { Entry } from "./schedule.js";

export interface AutoRenewOptions {
  /** Effect: time between renewals. Unit: ms. Range: 1 to 2^31 − 1. @default a third of the TTL */
  intervalMs?: number;
  /** Effect: the TTL each renewal asks for. Unit: ms. Range: 10 to 2^31 − 1. @default the provider's */
  ttlMs?: number;
  /** Effect: ends the renewing; the promise then resolves. */
  signal?: AbortSignal;
}

/** After a failure it is not the rhythm's turn: the lease may not last until then. */
const retryMs = 1_000;

/**
 * Resolves when the signal aborts. Rejects when the lease is gone, or when no renewal has succeeded for a whole TTL.
 */
export async function renewInRhythm(
  { clock, schedule }: Engine,
  renew: () => Promise<void>,
  { intervalMs, ttlMs, signal }: { intervalMs: number; ttlMs: number; signal: AbortSignal | undefined },
): Promise<void> {
  checkSignal(signal);
  const ended = () => signal?.aborted === true;
  let renewedAt = clock.now();
  while (!ended()) {
    const sentAt = clock.now();
    try {
      await renew();
      renewedAt = sentAt;
      await pause(schedule, clock.now() + intervalMs, signal);
    } catch (error) {
      if (ended()) return;
      const mayRecover = error instanceof LockBackendError && error.retryable;
      const leftMs = renewedAt + ttlMs - clock.now();
      if (!mayRecover || leftMs <= 0) throw error;
      await pause(schedule, clock.now() + Math.min(intervalMs, leftMs, retryMs), signal);
    }
  }
}

/** Ends early when the signal aborts or the provider is closed: the next renewal says so then. */
function pause(schedule: Engine["schedule"], until: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    let stop = () => {};
    const end = () => {
      schedule.delete(entry);
      stop();
      resolve();
    };
    // Renewal keeps no process alive.
    const entry: Entry = { slot: -1, keepsAlive: false, run: end, closed: end };
    if (signal?.aborted === true || schedule.closed) {
      resolve();
      return;
    }
    if (signal !== undefined) stop = onAbort(signal, end);
    schedule.set(entry, until);
  });
}
