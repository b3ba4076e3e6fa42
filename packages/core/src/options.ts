/** The options of the public face: their types, defaults and ranges, and the one place where they are checked. */
import type { Clock } from "./clock.js";
import type { DriverCapabilities } from "./driver.js";
import type { FailureRateOptions } from "./failure-rate.js";
import { checkOwner, describe } from "./key.js";
import type { Logger } from "./logger.js";
import { mostHandOffs } from "./token.js";

/** Durations reach to 2^31 − 1 ms (24.8 days): what every backend and every timer can count. */
export const longestMs = 2 ** 31 - 1;
/** Below this a lease would be over before a loaded process could use it. */
const shortestTtlMs = 10;
const longestMetadataBytes = 1_024;
const highestLimit = 1_000_000;

/** What may be said of one acquisition. */
export interface LockOptions {
  /**
   * Effect: how long the lease lives without renewal; if this process dies, others wait that long. Unit: ms. Range: 10 to 2^31 − 1.
   * @default the provider's, 30,000. Trap: the backend may round it up (etcd counts whole seconds).
   */
  ttlMs?: number;
  /**
   * Effect: how long to wait for the lock; 0 tries once. Unit: ms. Range: 0 to 2^31 − 1.
   * @default the provider's, 10,000; without bound when `retryCount` is given and `waitMs` is not. The call may outlast it by one attempt.
   */
  waitMs?: number;
  /**
   * Effect: the times between attempts when no notification comes; when it ends, the wait ends. Any iterable of milliseconds.
   * @default exponential backoff with jitter. Trap: in line behind others of this process only `waitMs` ends the wait; a generator object
   * can be used once only, `fixedInterval` and its kin can be reused.
   */
  retry?: Iterable<number>;
  /**
   * Effect: with `retryDelayMs`, a fixed strategy: so many retries after the first attempt; in line behind others of this process, a wait
   * as long as they take. Range: 0 to 2^31 − 1.
   */
  retryCount?: number;
  /** Effect: the time between those retries. Unit: ms. Range: 0 to 2^31 − 1. @default 1,000 */
  retryDelayMs?: number;
  /** Effect: ends the wait; the call rejects with `signal.reason`. It has no effect once the lock is held. */
  signal?: AbortSignal;
  /**
   * Effect: `exclusive` (mutex, write lock) or `shared` (read lock; with `limit` a semaphore). A shared lock without a limit, taken inside of
   * a `withLock` that holds the key shared already, takes part in that hold, as with `reentrant`. @default "exclusive"
   */
  mode?: "exclusive" | "shared";
  /** Effect: at most so many shared holders, this one counted. Range: 1 to 1,000,000; only with `mode: "shared"`. @default no limit */
  limit?: number;
  /**
   * Effect: the owner's name; whoever gives the same owner is the same holder, in this process (holds are counted) and in others. A further
   * hold that asks for a longer TTL than what is left has the lease renewed first; it never shortens it.
   * Range: 1 to 255 bytes of UTF-8. @default a new unguessable one. Trap: two tasks that share an owner do not exclude each other.
   */
  owner?: string;
  /** Effect: a note for people, shown by `inspect`. Range: at most 1,024 bytes of UTF-8. Trap: anyone who reads the backend sees it. */
  metadata?: string;
  /**
   * Effect: how long one call to the server may take before its outcome counts as unknown. Unit: ms. Range: 1 to 2^31 − 1.
   * @default a third of the TTL, at most 5,000
   */
  attemptTimeoutMs?: number;
  /** Effect: renew at a third of the TTL for as long as the handle is held. @default true */
  autoRenew?: boolean;
  /**
   * Effect: the lock is given up, as lost, after so long. Unit: ms. Range: 1 to 2^31 − 1. @default no bound. Trap: of several holds of one
   * lease (`reentrant`, `owner`) the first to last too long ends them all, since the key is to be free by then; one that is unlocked in
   * time bounds the others no more.
   */
  maxHoldMs?: number;
  /**
   * Effect: inside a `withLock` on the same key and mode, take part in that hold instead of waiting for it; the last `unlock` frees it.
   * Where it asks for a longer TTL than what is left, the lease is renewed first, and never shortened; an answer that does not come rejects
   * with a LockBackendError and leaves the hold as it is. @default false. Trap: siblings under one `Promise.all` in that body are the same holder and do not exclude each other.
   */
  reentrant?: boolean;
  /**
   * Effect: the caller is not part of the surrounding `withLock`: it neither takes part in its holds nor is told of a deadlock with them.
   * @default false. When: tasks that the body starts and does not wait for.
   */
  detached?: boolean;
  /** Effect: keep a place in the server's queue while waiting. @default true where the backend offers one (`capabilities.queue`) */
  queue?: boolean;
}

/** One `waitMs` for all keys; what concerns a single key does not apply. */
export type LockAllOptions = Omit<LockOptions, "mode" | "limit" | "owner" | "retry" | "retryCount" | "retryDelayMs" | "queue">;

/** `tryLock` asks once: what concerns waiting does not apply. */
export type TryLockOptions = Omit<LockOptions, "waitMs" | "retry" | "retryCount" | "retryDelayMs" | "queue">;

export interface HandOffOptions {
  /**
   * Effect: how often in a row a lease may pass to the next waiter of this process. Range: 0 to 1,023. @default 16, and up to 1,023 while the
   * turn has been shorter than four times what it takes to change turns
   */
  max?: number;
  /** Effect: for how long in a row. Unit: ms. Range: 0 to 2^31 − 1. @default 100 */
  maxMs?: number;
}

/** What may be said of a provider. The defaults of acquisitions stand here too. */
export interface ProviderOptions
  extends Pick<
    LockOptions,
    "ttlMs" | "waitMs" | "retry" | "retryCount" | "retryDelayMs" | "attemptTimeoutMs" | "autoRenew" | "maxHoldMs" | "queue"
  > {
  /** Effect: passing a held lease on inside the process, without a round trip. `false` asks the server every time. @default both bounds */
  handOff?: false | HandOffOptions;
  /**
   * Effect: circles of waiters inside this process are broken with a DeadlockError, and keys taken in both orders are reported (event
   * `deadlock`). @default false. Trap: costs a stack trace for each nested lock.
   */
  detectDeadlocks?: boolean;
  /** Effect: a lock held for longer is an event `held-long`. Unit: ms. Range: 1 to 2^31 − 1. @default never */
  heldLongMs?: number;
  /** Effect: when too many acquisitions fail, that is an event `failure-rate`. @default never */
  failureRate?: FailureRateOptions;
  /** Effect: how often ended leases are swept away; 0 never. Unit: ms. Range: 0 to 2^31 − 1. @default 60,000 */
  sweepIntervalMs?: number;
  /** Effect: the name of this process in owners. Range: at most 73 bytes. @default `{hostname}-{8 hex digits}` */
  instanceId?: string;
  /** Effect: gets structured lines; anything shaped like pino. @default silence */
  logger?: Logger;
  /** Effect: another source of time. When: tests. @default the system's */
  clock?: Clock;
}

/** One acquisition with every default filled in. */
export interface AcquireSpec {
  readonly ttlMs: number;
  readonly waitMs: number;
  readonly retry: Iterable<number> | undefined;
  /** How long all retries take: so long a waiter stands in line behind others of this process, who make the attempts. */
  readonly retryForMs: number;
  readonly signal: AbortSignal | undefined;
  readonly mode: "exclusive" | "shared";
  readonly limit: number | undefined;
  readonly owner: string | undefined;
  readonly metadata: string | undefined;
  readonly attemptTimeoutMs: number;
  /** What was asked for; else `attemptTimeoutMs` follows the TTL. */
  readonly givenAttemptTimeoutMs: number | undefined;
  readonly autoRenew: boolean;
  readonly maxHoldMs: number;
  readonly queue: boolean;
  readonly reentrant: boolean;
  readonly detached: boolean;
}

/** A provider's options with every default filled in; `base` is the spec of an acquisition that says nothing. */
export interface ProviderSpec {
  readonly base: AcquireSpec;
  /** `max` is undefined where it follows the time that a change of turns takes. */
  readonly handOff: { readonly max: number | undefined; readonly maxMs: number };
  readonly sweepIntervalMs: number;
  readonly detectDeadlocks: boolean;
  readonly heldLongMs: number;
  readonly failureRate: Required<FailureRateOptions> | undefined;
}

/** What may be said of a lock however it is taken. */
const everyAcquisition = ["metadata", "attemptTimeoutMs", "autoRenew", "maxHoldMs", "reentrant", "detached"] as const;

const lockOptionNames = [
  "ttlMs",
  "waitMs",
  "retry",
  "retryCount",
  "retryDelayMs",
  "signal",
  "mode",
  "limit",
  "owner",
  ...everyAcquisition,
  "queue",
] as const satisfies readonly (keyof LockOptions)[];

const tryLockOptionNames = [
  "ttlMs",
  "signal",
  "mode",
  "limit",
  "owner",
  ...everyAcquisition,
] as const satisfies readonly (keyof TryLockOptions)[];

export const lockAllOptionNames = ["ttlMs", "waitMs", "signal", ...everyAcquisition] as const satisfies readonly (keyof LockAllOptions)[];

const providerOptionNames = [
  "ttlMs",
  "waitMs",
  "retry",
  "retryCount",
  "retryDelayMs",
  "attemptTimeoutMs",
  "autoRenew",
  "maxHoldMs",
  "queue",
  "handOff",
  "detectDeadlocks",
  "heldLongMs",
  "failureRate",
  "sweepIntervalMs",
  "instanceId",
  "logger",
  "clock",
] as const satisfies readonly (keyof ProviderOptions)[];

/** @throws TypeError or RangeError that names the option and what is accepted. */
export function resolveProviderOptions(options: ProviderOptions, capabilities: DriverCapabilities): ProviderSpec {
  checkKnown("provider options", options, providerOptionNames);
  const {
    handOff,
    detectDeadlocks = false,
    heldLongMs,
    failureRate,
    sweepIntervalMs = 60_000,
    instanceId,
    logger,
    clock,
    ...acquisition
  } = options;
  checkBoolean("detectDeadlocks", detectDeadlocks);
  if (heldLongMs !== undefined) checkNumber("heldLongMs", heldLongMs, 1);
  checkNumber("sweepIntervalMs", sweepIntervalMs, 0);
  if (instanceId !== undefined) checkInstanceId(instanceId);
  if (logger !== undefined && !isLogger(logger))
    throw new TypeError(`logger must have the methods debug, info, warn and error, got ${describe(logger)}`);
  if (
    clock !== undefined &&
    !(typeof clock?.now === "function" && typeof clock.setTimer === "function" && typeof clock.date === "function")
  )
    throw new TypeError(`clock must have the methods now, setTimer and date, got ${describe(clock)}`);
  const plain: AcquireSpec = {
    ttlMs: 30_000,
    waitMs: 10_000,
    retry: undefined,
    retryForMs: Number.POSITIVE_INFINITY,
    signal: undefined,
    mode: "exclusive",
    limit: undefined,
    owner: undefined,
    metadata: undefined,
    attemptTimeoutMs: 5_000,
    givenAttemptTimeoutMs: undefined,
    autoRenew: true,
    maxHoldMs: Number.POSITIVE_INFINITY,
    queue: capabilities.queue,
    reentrant: false,
    detached: false,
  };
  return {
    base: resolve(acquisition, plain, capabilities),
    handOff: resolveHandOff(handOff),
    sweepIntervalMs,
    detectDeadlocks,
    heldLongMs: heldLongMs ?? Number.POSITIVE_INFINITY,
    failureRate: failureRate === undefined ? undefined : resolveFailureRate(failureRate),
  };
}

/** @throws TypeError or RangeError that names the option and what is accepted. */
export function resolveLockOptions(options: LockOptions, base: AcquireSpec, capabilities: DriverCapabilities): AcquireSpec {
  checkKnown("lock options", options, lockOptionNames);
  return resolve(options, base, capabilities);
}

/** @throws TypeError or RangeError that names the option and what is accepted. */
export function resolveTryLockOptions(options: TryLockOptions, base: AcquireSpec, capabilities: DriverCapabilities): AcquireSpec {
  checkKnown("tryLock options", options, tryLockOptionNames);
  return resolve({ ...options, waitMs: 0, queue: false }, base, capabilities);
}

function resolve(options: LockOptions, base: AcquireSpec, capabilities: DriverCapabilities): AcquireSpec {
  const { ttlMs = base.ttlMs, signal, mode = base.mode, limit, owner, metadata, autoRenew = base.autoRenew, queue = base.queue } = options;
  checkNumber("ttlMs", ttlMs, shortestTtlMs);
  const { waitMs, retry, retryForMs } = resolveWaiting(options, base);
  const { attemptTimeoutMs: givenAttemptTimeoutMs = base.givenAttemptTimeoutMs } = options;
  if (givenAttemptTimeoutMs !== undefined) checkNumber("attemptTimeoutMs", givenAttemptTimeoutMs, 1);
  if (options.maxHoldMs !== undefined) checkNumber("maxHoldMs", options.maxHoldMs, 1);
  checkSignal(signal);
  if (mode !== "exclusive" && mode !== "shared")
    throw new TypeError(`mode must be "exclusive" or "shared", got ${typeof mode === "string" ? JSON.stringify(mode) : describe(mode)}`);
  if (limit !== undefined) {
    if (mode !== "shared") throw new TypeError('limit needs mode: "shared"');
    checkNumber("limit", limit, 1, highestLimit);
    if (!Number.isInteger(limit)) throw new RangeError(`limit must be a whole number from 1 to ${highestLimit}, got ${limit}`);
  }
  if (owner !== undefined) checkOwner(owner);
  if (metadata !== undefined) checkMetadata(metadata);
  const { reentrant = false, detached = false } = options;
  checkBoolean("autoRenew", autoRenew);
  checkBoolean("reentrant", reentrant);
  checkBoolean("detached", detached);
  checkBoolean("queue", queue);
  if (options.queue === true && !capabilities.queue)
    throw new TypeError("queue: true needs a backend that offers a queue (capabilities.queue)");
  return {
    ttlMs,
    waitMs,
    retry,
    retryForMs,
    signal,
    mode,
    limit,
    owner,
    metadata,
    attemptTimeoutMs: givenAttemptTimeoutMs ?? Math.min(ttlMs / 3, 5_000),
    givenAttemptTimeoutMs,
    autoRenew,
    maxHoldMs: options.maxHoldMs ?? base.maxHoldMs,
    // A place is given up by its owner alone, and one that is shared with others is never undone: it would be kept for the whole TTL.
    queue: queue && owner === undefined,
    reentrant,
    detached,
  };
}

function resolveWaiting(options: LockOptions, base: AcquireSpec): Pick<AcquireSpec, "waitMs" | "retry" | "retryForMs"> {
  const { retry, retryCount, retryDelayMs } = options;
  if (options.waitMs !== undefined) checkNumber("waitMs", options.waitMs, 0);
  if (retryDelayMs !== undefined) {
    checkNumber("retryDelayMs", retryDelayMs, 0);
    if (retryCount === undefined) throw new TypeError("retryDelayMs needs retryCount");
  }
  if (retryCount !== undefined) {
    if (retry !== undefined) throw new TypeError("retry and retryCount exclude each other");
    checkNumber("retryCount", retryCount, 0);
    const delayMs = retryDelayMs ?? 1_000;
    return { waitMs: options.waitMs ?? Number.POSITIVE_INFINITY, retry: repeat(delayMs, retryCount), retryForMs: delayMs * retryCount };
  }
  if (retry !== undefined && (retry === null || typeof retry !== "object" || typeof retry[Symbol.iterator] !== "function"))
    throw new TypeError(`retry must be an iterable of milliseconds, got ${describe(retry)}`);
  const waitMs = options.waitMs ?? base.waitMs;
  return retry === undefined
    ? { waitMs, retry: base.retry, retryForMs: base.retryForMs }
    : { waitMs, retry, retryForMs: Number.POSITIVE_INFINITY };
}

function* repeatOnce(delayMs: number, count: number): Generator<number> {
  for (let retry = 0; retry < count; retry++) yield delayMs;
}

function repeat(delayMs: number, count: number): Iterable<number> {
  return { [Symbol.iterator]: () => repeatOnce(delayMs, count) };
}

function resolveHandOff(handOff: false | HandOffOptions | undefined): ProviderSpec["handOff"] {
  if (handOff === false) return { max: 0, maxMs: 0 };
  if (handOff !== undefined) checkKnown("handOff", handOff, ["max", "maxMs"]);
  const { max, maxMs = 100 } = handOff ?? {};
  if (max !== undefined) {
    checkNumber("handOff.max", max, 0, mostHandOffs);
    if (!Number.isInteger(max)) throw new RangeError(`handOff.max must be a whole number from 0 to ${mostHandOffs}, got ${max}`);
  }
  checkNumber("handOff.maxMs", maxMs, 0);
  return { max, maxMs };
}

function resolveFailureRate(options: FailureRateOptions): Required<FailureRateOptions> {
  checkKnown("failureRate", options, ["threshold", "windowMs", "least"]);
  const { threshold = 0.5, windowMs = 60_000, least = 10 } = options;
  checkNumber("failureRate.threshold", threshold, 0, 1);
  checkNumber("failureRate.windowMs", windowMs, 1);
  checkNumber("failureRate.least", least, 1);
  return { threshold, windowMs, least };
}

/** The id leaves room in the 255 bytes of an owner for its random part. */
function checkInstanceId(instanceId: unknown): void {
  if (typeof instanceId !== "string" || instanceId.length === 0 || Buffer.byteLength(instanceId) > 73 || !/^[\x21-\x7e]+$/.test(instanceId))
    throw new RangeError("instanceId must be 1 to 73 printable ASCII characters without blanks");
}

function isLogger(logger: unknown): boolean {
  if (typeof logger !== "object" || logger === null) return false;
  const methods = logger as Record<string, unknown>;
  return ["debug", "info", "warn", "error"].every((level) => typeof methods[level] === "function");
}

function checkMetadata(metadata: unknown): void {
  if (typeof metadata !== "string") throw new TypeError(`metadata must be a string, got ${describe(metadata)}`);
  if (Buffer.byteLength(metadata) > longestMetadataBytes)
    throw new RangeError(`metadata must be at most ${longestMetadataBytes} bytes of UTF-8, got ${Buffer.byteLength(metadata)}`);
  // It has no UTF-8, so something else would be shown than was given.
  if (!metadata.isWellFormed())
    throw new RangeError(`metadata must be at most ${longestMetadataBytes} bytes of UTF-8; got a lone surrogate`);
}

/** @throws TypeError for anything but an AbortSignal or undefined. */
export function checkSignal(signal: unknown): asserts signal is AbortSignal | undefined {
  if (signal !== undefined && !(signal instanceof AbortSignal))
    throw new TypeError(`signal must be an AbortSignal, got ${describe(signal)}`);
}

/** @throws TypeError for anything but a number, RangeError outside of `least` to `most`. */
export function checkNumber(name: string, value: unknown, least: number, most: number = longestMs): asserts value is number {
  if (typeof value !== "number") throw new TypeError(`${name} must be a number from ${least} to ${most}, got ${describe(value)}`);
  if (!(value >= least && value <= most)) throw new RangeError(`${name} must be a number from ${least} to ${most}, got ${value}`);
}

function checkBoolean(name: string, value: unknown): asserts value is boolean {
  if (typeof value !== "boolean") throw new TypeError(`${name} must be true or false, got ${describe(value)}`);
}

/** A misspelt option would otherwise be a silent default. @throws TypeError for a non-object or an unknown name. */
export function checkKnown(what: string, options: unknown, known: readonly string[]): void {
  if (typeof options !== "object" || options === null) throw new TypeError(`${what} must be an object, got ${describe(options)}`);
  for (const name in options) {
    if (!known.includes(name)) throw new TypeError(`${what}: unknown option ${JSON.stringify(name)}; accepted are ${known.join(", ")}`);
  }
}
