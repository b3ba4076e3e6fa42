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
