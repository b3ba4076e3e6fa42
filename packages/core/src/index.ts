export type { AutoRenewOptions } from "./auto-renew.js";
export type { Clock, Timer } from "./clock.js";
export { setTimeLimit, systemClock } from "./clock.js";
export type { CloseOnExitOptions } from "./close-on-exit.js";
export { closeOnExit } from "./close-on-exit.js";
export type { LockConfig, SectionShape } from "./config.js";
export { checkSection, createLockProviderFromConfig, createLockProviderFromEnv, defaultLockConfig } from "./config.js";
export type {
  AcquireClaim,
  AcquireResult,
  Call,
  Claim,
  DriverCapabilities,
  DriverError,
  ExtendClaim,
  Holder,
  ImmediateDecisions,
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
export type { FailureRate, FailureRateOptions } from "./failure-rate.js";
export type { Fence } from "./fencing.js";
export { compareTokens, fenceOf, MemoryGuard } from "./fencing.js";
export type { AutoRefreshOptions, Lock } from "./lock.js";
export type { LockAllRequest } from "./lock-all.js";
export type { LockAll } from "./lock-all-handle.js";
export type { LogFields, Logger } from "./logger.js";
export type { LockManager, ProviderHealth } from "./manager.js";
export { createLockManager, createLockManagerFromConfig } from "./manager.js";
export type { HandOffOptions, LockAllOptions, LockOptions, ProviderOptions, TryLockOptions } from "./options.js";
export type { LockProvider, SingleflightOptions, TryResult } from "./provider.js";
export { createLockProvider } from "./provider.js";
export type { Backend, BackendSection, Examination } from "./registry.js";
export { createLockProviderFromUrl, findBackend, parseBackendUrl, registerBackend } from "./registry.js";
export type { RetryOptions } from "./retry.js";
export { exponentialBackoff, fixedInterval, linearBackoff } from "./retry.js";
export type { HistogramSnapshot, LockStats } from "./stats.js";
export { isServerToken } from "./token.js";
export { TransientMap } from "./transient-map.js";
export { decodeUrlPart } from "./url.js";
