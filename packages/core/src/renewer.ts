/**
 * Renewal: when a lease wants it, and one attempt at it. There is no timer here but the provider's one; the batcher turns the renewals that
 * fall due together into one call.
 */

import type { Outcome } from "./driver.js";
import { isDriverError, LockBackendError, LockNotHeldError } from "./errors.js";
import type { Receiver } from "./flight.js";
import type { Lease } from "./lease.js";
import { fieldsOf } from "./logger.js";
import { ghostWindowMs } from "./validity.js";

/** A warning: such a rhythm renews too late. */
export const lateRenewal = "the renewal interval is not below the TTL";

/** Locks taken over a stretch of time fall due together: so many meeting points in a TTL, each before its third is over. */
const meetingPoints = 24;
const shortestRetryMs = 10;
const longestRetryMs = 1_000;

/** A third of the TTL after the last success, or, for a lease that was refreshed to live longer, when two thirds of its TTL remain. */
export function nextRenewal(lease: Lease, renewedAt: number): number {
  if (lease.renewEveryMs !== undefined) return renewedAt + lease.renewEveryMs;
  const third = renewedAt + lease.ttlMs / 3;
  const wanted = renewedAt < lease.unsureUntil ? third : Math.max(third, lease.deadline - (lease.ttlMs * 2) / 3);
  const step = lease.ttlMs / meetingPoints;
  return Math.floor(wanted / step) * step;
}

/** Sends one renewal. Nothing is sent once the release has begun: the lease is then no longer `held`. */
export function renew(lease: Lease, now: number): void {
  lease.renewing = true;
  // What was refreshed to live longer is asked for again: an older renewal that came late may have cut it back (R8).
  const ttlMs = Math.max(lease.ttlMs, Math.ceil(lease.deadline - now));
  new Renewal(lease, ttlMs, renewed).send(now);
}

function renewed(lease: Lease, ttlMs: number, outcome: Outcome<boolean>, sentAt: number, now: number): void {
  lease.renewing = false;
  // Released or lost meanwhile: the answer concerns nobody.
  if (!lease.isHeldAt(now)) return;
  if (outcome === true) lease.extended(sentAt, ttlMs);
  else if (outcome === false) lease.lose("refused");
  else retryLater(lease, outcome, now);
}

/**
 * One renewal that somebody waits for.
 *
 * @throws LockNotHeldError when the lease is gone, LockBackendError when the server gave no answer (the lock is then held until its deadline).
 */
export function refresh(lease: Lease, ttlMs: number): Promise<void> {
  const answer = new Promise<void>((resolve, reject) => {
    const answered: Answered = (_, __, outcome, sentAt, now) => {
      if (isDriverError(outcome)) {
        reject(new LockBackendError(lease.engine.driver.name, "refresh", outcome, lease.key));
        return;
      }
      if (lease.isHeldAt(now)) {
        if (outcome) lease.extended(sentAt, ttlMs);
        else lease.lose("refused");
      }
      if (lease.state === "held") resolve();
      else reject(new LockNotHeldError(lease.key, outcome ? "it was released or lost meanwhile" : "the backend says its lease is over"));
    };
    const send = (now: number) => {
      if (lease.isHeldAt(now)) new Renewal(lease, ttlMs, answered).send(now);
      else reject(new LockNotHeldError(lease.key, "it was released or lost"));
    };
    // A renewal that arrives after a longer one would cut that back (R8): the longer one goes out when the others are answered.
    if (ttlMs > lease.longestMs && lease.unanswered > 0) {
      lease.whenAnswered ??= [];
      lease.whenAnswered.push(send);
    } else send(lease.engine.clock.now());
  });
  // Renewals keep no process alive, but this one is awaited.
  return lease.engine.schedule.keepAliveFor(answer);
}

type Answered = (lease: Lease, ttlMs: number, outcome: Outcome<boolean>, sentAt: number, now: number) => void;

/** One renewal on its way: one object, since ten thousand leases may fall due together. */
class Renewal implements Receiver<boolean> {
  readonly #lease: Lease;
  readonly #ttlMs: number;
  readonly #answered: Answered;

  constructor(lease: Lease, ttlMs: number, answered: Answered) {
    this.#lease = lease;
    this.#ttlMs = ttlMs;
    this.#answered = answered;
  }

  send(now: number): void {
    const lease = this.#lease;
    const { engine, key, owner, token } = lease;
    const ttlMs = this.#ttlMs;
    // From now on, not only when it is granted: a renewal that follows before the answer must not cut the longer one back.
    lease.longestMs = Math.max(lease.longestMs, ttlMs);
    const { longestMs } = lease;
    lease.unanswered++;
    const alone = lease.unanswered === 1 && lease.hasOwnOwner;
    engine.renewals.submit({ key, owner, token, ttlMs, longestMs }, lease.renewTimeoutMs, this, now, alone);
  }

  onOutcome(outcome: Outcome<boolean>, sentAt: number, now: number): void {
    const lease = this.#lease;
    lease.unanswered--;
    if (isDriverError(outcome) && outcome.applied === "unknown") lease.unsureUntil = now + ghostWindowMs(lease.ttlMs);
    this.#answered(lease, this.#ttlMs, outcome, sentAt, now);
    while (lease.unanswered === 0 && lease.whenAnswered !== undefined && lease.whenAnswered.length > 0) lease.whenAnswered.shift()?.(now);
  }
}

/** No answer is no loss yet: the deadline decides. Until then it is tried again, more often as the end comes nearer. */
function retryLater(lease: Lease, cause: Outcome<boolean>, now: number): void {
  const remainingMs = Math.max(lease.deadline - now, 0);
  lease.renewAt = now + Math.min(Math.max(remainingMs / 4, shortestRetryMs), longestRetryMs);
  if (!lease.atRisk) {
    lease.atRisk = true;
    lease.engine.logger?.warn(
      { ...fieldsOf(lease.key, lease.publicOwner, lease.publicToken), remaining_ms: remainingMs, err: cause },
      "lock at risk",
    );
    lease.engine.events.emit("at-risk", { ...lease.describe(), remainingMs, cause });
  }
  lease.reschedule();
}
