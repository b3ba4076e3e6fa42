export type { Clock, Timer } from "./clock.js";
export { systemClock } from "./clock.js";
export type {
  AcquireClaim,
  AcquireResult,
  Call,
  Claim,
  DriverCapabilities,
  DriverError,
  ExtendClaim,
  Holder,
  LockDriver,
  LockRecord,
  Outcome,
  ReleaseClaim,
} from "./driver.js";
export { parseDuration } from "./duration.js";
export type { LockErrorCode, LossReason } from "./errors.js";
export {
  BackendNotInstalledError,
  DeadlockError,
  driverError,
  InvalidLockKeyError,
  isDriverError,
  LockBackendError,
  LockError,
  LockLostError,
  LockNotAcquiredError,
  LockNotHeldError,
  LockTimeoutError,
  ProviderClosedError,
} from "./errors.js";
export type { LockEvent, LockEventName, LockEvents } from "./events.js";
export type { AutoRefreshOptions, Lock } from "./lock.js";
export type { LogFields, Logger } from "./logger.js";
export type { HandOffOptions, LockOptions, ProviderOptions, TryLockOptions } from "./options.js";
export type { LockProvider, TryResult } from "./provider.js";
export { createLockProvider } from "./provider.js";
export type { Backend } from "./registry.js";
export { createLockProviderFromUrl, registerBackend } from "./registry.js";
export type { RetryOptions } from "./retry.js";
export { exponentialBackoff, fixedInterval, linearBackoff } from "./retry.js";
export type { HistogramSnapshot, LockStats } from "./stats.js";
