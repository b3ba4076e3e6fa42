/** What the parts of one provider share, and how it is wired together. */
import { Batcher } from "./batcher.js";
import { type Clock, systemClock } from "./clock.js";
import type { AcquireClaim, AcquireResult, ExtendClaim, Holder, LockDriver, LockRecord, ReleaseClaim } from "./driver.js";
import { messageOf } from "./errors.js";
import { Events } from "./events.js";
import { FailureRateMeter } from "./failure-rate.js";
import { Gates } from "./gate.js";
import { guarded, type Logger } from "./logger.js";
import type { ProviderOptions, ProviderSpec } from "./options.js";
import { Schedule } from "./schedule.js";
import { Stats } from "./stats.js";
import { isServerToken } from "./token.js";
import { Undo } from "./undo.js";

export interface Engine {
  readonly driver: LockDriver;
  readonly spec: ProviderSpec;
  readonly instanceId: string;
  readonly clock: Clock;
  readonly schedule: Schedule;
  readonly stats: Stats;
  readonly events: Events;
  readonly logger: Logger | undefined;
  readonly acquires: Batcher<AcquireClaim, AcquireResult>;
  /** Named apart from acquires and releases so that neither ever waits behind the other. */
  readonly renewals: Batcher<ExtendClaim, boolean>;
  readonly releases: Batcher<ReleaseClaim, boolean>;
  readonly gates: Gates;
  readonly undo: Undo;
  readonly failureRate: FailureRateMeter | undefined;
  /** True once `close()` was called. */
  closed: boolean;
  /** Makes known what no call could report: to the log and to the `error` event. */
  report(error: unknown, doing: string, key?: string): void;
}

/** Wires the parts of one provider together. */
export function createEngine(driver: LockDriver, spec: ProviderSpec, instanceId: string, options: ProviderOptions): Engine {
  const { clock = systemClock } = options;
  const logger = options.logger === undefined ? undefined : guarded(options.logger);
  const schedule = new Schedule(clock);
  const report: Engine["report"] = (error, doing, key) => {
    logger?.error({ component: "dlock", lock_key: key, err: error }, `could not ${doing}`);
    engine.events.emit("error", { error, doing, key });
  };
  const events = new Events((error, doing) => {
    if (logger === undefined) process.emitWarning(error instanceof Error ? error : messageOf(error));
    else logger.error({ component: "dlock", err: error }, `could not ${doing}`);
  });
  const { immediate } = driver;
  const { maxBatch } = driver.capabilities;
  const laneOf = driver.laneOf?.bind(driver);
  const mostTold = driver.capabilities.scope === "network" ? partOfAnswers : Number.POSITIVE_INFINITY;
  const shared = { laneOf, maxBatch, mostTold, clock, schedule };
  const isBoolean = (value: unknown): value is boolean => typeof value === "boolean";
  const engine: Engine = {
    driver,
    spec,
    instanceId,
    clock,
    schedule,
    stats: new Stats(),
    events,
    logger,
    acquires: new Batcher({
      ...shared,
      send: (claims, call) => driver.acquire(claims, call),
      decide: immediate && ((claim) => immediate.acquire(claim)),
      isAnswer: isAcquireResult,
      unique: "key",
      keepsAlive: true,
    }),
    renewals: new Batcher<ExtendClaim, boolean>({
      ...shared,
      send: (claims, call) => driver.extend(claims, call),
      decide: immediate && ((claim) => immediate.extend(claim)),
      isAnswer: isBoolean,
      unique: "key and owner",
      keepsAlive: false,
    }),
    releases: new Batcher<ReleaseClaim, boolean>({
      ...shared,
      send: (claims, call) => driver.release(claims, call),
      decide: immediate && ((claim) => immediate.release(claim)),
      isAnswer: isBoolean,
      unique: "key and owner",
      keepsAlive: true,
    }),
    gates: undefined as unknown as Gates,
    undo: undefined as unknown as Undo,
    failureRate: spec.failureRate && new FailureRateMeter(spec.failureRate, (rate) => events.emit("failure-rate", rate)),
    closed: false,
    report,
  };
  return Object.assign(engine, { gates: new Gates(engine), undo: new Undo(engine) });
}

/** Enough for a server to be at work while this process is, and few enough calls more. */
const partOfAnswers = 128;

/** At most 2^31 − 1 ms are asked for, and rounding up does not double that. */
const longestGrantMs = 2 ** 32;

/** What comes back from a server is not trusted: an answer must have the form of one, and what throws when it is looked at has none. */
function isAcquireResult(value: unknown): value is AcquireResult {
  try {
    if (typeof value !== "object" || value === null) return false;
    const { acquired, token, ttlMs, retryAfterMs, holder } = value as Record<string, unknown>;
    if (acquired === true) return isServerToken(token) && isWithin(ttlMs, longestGrantMs) && ttlMs > 0;
    const numberOrNone = retryAfterMs === undefined || isWithin(retryAfterMs, Number.POSITIVE_INFINITY);
    return acquired === false && numberOrNone && (holder === undefined || isHolder(holder));
  } catch {
    return false;
  }
}

function isWithin(value: unknown, most: number): value is number {
  return typeof value === "number" && value >= 0 && value <= most;
}

export function isHolder(value: unknown): value is Holder {
  try {
    if (typeof value !== "object" || value === null) return false;
    const { owner, token, mode, remainingMs, heldMs, metadata } = value as Record<string, unknown>;
    if (typeof owner !== "string" || !isServerToken(token) || !(mode === "exclusive" || mode === "shared")) return false;
    const isTime = (time: unknown) => typeof time === "number" && !Number.isNaN(time);
    return isTime(remainingMs) && isTime(heldMs) && (metadata === undefined || typeof metadata === "string");
  } catch {
    return false;
  }
}

export function isRecord(value: unknown): value is LockRecord {
  return isHolder(value) && typeof (value as Partial<LockRecord>).key === "string";
}
