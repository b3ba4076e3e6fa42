/** Every error dlock throws, each with a stable `code`. A wrong argument is a plain `TypeError` or `RangeError` instead (see options.ts). */
import { inspect } from "node:util";
import type { DriverError, Holder } from "./driver.js";

export type LockErrorCode =
  | "DLOCK_TIMEOUT"
  | "DLOCK_NOT_ACQUIRED"
  | "DLOCK_NOT_HELD"
  | "DLOCK_LOST"
  | "DLOCK_INVALID_KEY"
  | "DLOCK_DEADLOCK"
  | "DLOCK_BACKEND"
  | "DLOCK_CLOSED"
  | "DLOCK_BACKEND_NOT_INSTALLED"
  // Layers above (such as the workflow package) add codes of their own that start the same way.
  | `DLOCK_${string}`;

/** Root of all dlock errors. Switch on `code`: it never changes between versions, messages may. */
export class LockError extends Error {
  readonly code: LockErrorCode;
  /** The key concerned, where there is one. */
  readonly key: string | undefined;

  constructor(code: LockErrorCode, message: string, details: { key?: string | undefined; cause?: unknown } = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = new.target.name;
    this.code = code;
    this.key = details.key;
  }
}

/** The wait ended before the lock was free: `waitMs` passed or the retry strategy was used up. Contention, not a fault. */
export class LockTimeoutError extends LockError {
  /** Who held the key at the last refusal, where the backend said so. */
  readonly holder: Holder | undefined;

  constructor(key: string, waitedMs: number, holder?: Holder) {
    super("DLOCK_TIMEOUT", `waited ${Math.round(waitedMs)} ms for the lock ${show(key)}${describeHolder(holder)}`, { key });
    this.holder = holder;
  }
}

/** One attempt was asked for and another holder is in the way. Thrown where the caller insists on a lock (`tryLock` returns undefined instead). */
export class LockNotAcquiredError extends LockError {
  readonly holder: Holder | undefined;

  constructor(key: string, holder?: Holder) {
    super("DLOCK_NOT_ACQUIRED", `the lock ${show(key)} is not free${describeHolder(holder)}`, { key });
    this.holder = holder;
  }
}

/** The operation needs a lock that is held; this one is released, lost or belongs to someone else. */
export class LockNotHeldError extends LockError {
  constructor(key: string, why: string, cause?: unknown) {
    super("DLOCK_NOT_HELD", `the lock ${show(key)} is not held: ${why}`, { key, cause });
  }
}

/**
 * Why a lock was lost: `expired` (the local deadline passed), `refused` (the server says the lease is gone), `closed` (the provider was
 * closed), `max-hold` (`maxHoldMs` passed), `leaked` (the handle was dropped without unlock), `fenced` (a guard has seen a newer token).
 */
export type LossReason = "expired" | "refused" | "closed" | "max-hold" | "leaked" | "fenced";

/** The lease may have ended while the work was going on: somebody else may hold the key by now. */
export class LockLostError extends LockError {
  readonly reason: LossReason;
  /** What the body of `withLock` returned, when it ran to its end although the lock was lost meanwhile. */
  readonly value: unknown;

  constructor(key: string, reason: LossReason, details: { value?: unknown; cause?: unknown } = {}) {
    super("DLOCK_LOST", `the lock ${show(key)} was lost (${reason}): stop the work it protects`, { key, cause: details.cause });
    this.reason = reason;
    this.value = details.value;
  }
}

/** The key is not a string of 1 to 255 bytes of well-formed UTF-8. */
export class InvalidLockKeyError extends LockError {
  constructor(why: string, key?: string) {
    super("DLOCK_INVALID_KEY", `a lock key is a string of 1 to 255 bytes of UTF-8; ${why}`, { key });
  }
}

/** Waiting would never end, because this very context holds what it waits for (or a circle of waiters does). */
export class DeadlockError extends LockError {
  constructor(key: string, why: string, cause?: unknown) {
    super("DLOCK_DEADLOCK", `waiting for the lock ${show(key)} would never end: ${why}`, { key, cause });
  }
}

/** The backend could not answer, or answered with a fault. Nothing is held; `cause` is what the driver said. */
export class LockBackendError extends LockError {
  /** Whether the same call may succeed later without anyone mending a configuration. */
  readonly retryable: boolean;

  constructor(backend: string, doing: string, cause: unknown, key?: string) {
    const why = messageOf(cause);
    super("DLOCK_BACKEND", `${backend} could not ${doing}${key === undefined ? "" : ` the lock ${show(key)}`}: ${why}`, { key, cause });
    this.retryable = isDriverError(cause) ? cause.retryable : false;
  }
}

/** The provider was closed before or during the call. */
export class ProviderClosedError extends LockError {
  constructor(key?: string) {
    super("DLOCK_CLOSED", "the lock provider is closed", { key });
  }
}

/** A backend was asked for by name and its package cannot be loaded. */
export class BackendNotInstalledError extends LockError {
  /** @param known the names of the backends there are: one that is not among them is rather misspelt than missing. */
  constructor(name: string, packageName: string, cause?: unknown, known: readonly string[] = [name]) {
    const misspelt = known.includes(name) ? "" : `, unless it is one of dlock's own: ${known.join(", ")}`;
    const remedy = `npm install ${packageName}${misspelt}`;
    super("DLOCK_BACKEND_NOT_INSTALLED", `the backend "${name}" is not registered and ${packageName} is not installed: ${remedy}`, {
      cause,
    });
  }
}

/**
 * Makes the error a driver answers with when it can say neither yes nor no.
 *
 * @param message what the server answered and what mends it; no secrets.
 * @param details `applied`: `"no"` when the server certainly did not apply the claim, else `"unknown"`. `retryable`: whether the same
 * attempt may succeed later by itself. `cause`: the client library's error.
 */
export function driverError(message: string, details: { applied: "no" | "unknown"; retryable: boolean; cause?: unknown }): DriverError {
  const error = new Error(message, details.cause === undefined ? undefined : { cause: details.cause });
  error.name = "DriverError";
  return Object.assign(error, { dlockDriverError: true as const, applied: details.applied, retryable: details.retryable });
}

/** What has not the form of an answer may hide any: it is unknown what was applied. */
export function malformedAnswer(answer: unknown): DriverError {
  return driverError("the driver's answer is malformed", { applied: "unknown", retryable: true, cause: answer });
}

/** Tells a {@link DriverError} from a verdict. One that does not say what was applied is none: it must not pass for "certainly not applied". */
export function isDriverError(value: unknown): value is DriverError {
  try {
    if (!(value instanceof Error)) return false;
    const { dlockDriverError, applied, retryable } = value as Partial<DriverError>;
    return dlockDriverError === true && (applied === "no" || applied === "unknown") && typeof retryable === "boolean";
  } catch {
    // It throws when it is looked at: whatever it is, it is no answer.
    return false;
  }
}

/** What was thrown, in words: anything can be thrown, also what has no string, or throws when it is looked at. */
export function messageOf(error: unknown): string {
  try {
    if (error instanceof Error && typeof error.message === "string") return error.message;
    return typeof error === "string" ? error : inspect(error);
  } catch {
    return "an error that cannot be read";
  }
}

/** A key as it appears in messages: quoted, so that blanks and control characters show. */
function show(key: string): string {
  return JSON.stringify(key);
}

function describeHolder(holder: Holder | undefined): string {
  if (holder === undefined) return "";
  return `; held by ${holder.owner} for ${Math.round(holder.heldMs)} ms, ending in ${Math.round(holder.remainingMs)} ms unless renewed`;
}
