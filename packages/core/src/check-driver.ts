/** Whether what is given as a driver has the form of one: a provider that finds out later would fail in a lock, or never. */
import type { DriverCapabilities, LockDriver } from "./driver.js";
import { describe } from "./key.js";

const methods = ["acquire", "extend", "release", "inspect", "list", "sweep", "ping", "close"] as const;

/** The least of each number; `wakeMs` may be left out. */
const least = { minTtlMs: 0, ttlStepMs: 0, maxBatch: 1, wakeMs: 0 } as const;

/** @throws TypeError or RangeError that names what is missing or wrong. */
export function checkDriver(driver: unknown): asserts driver is LockDriver {
  if (typeof (driver as LockDriver | undefined)?.acquire !== "function")
    throw new TypeError("driver must be a LockDriver, such as memoryDriver(); createLockProviderFromUrl takes URLs");
  const given = driver as LockDriver;
  for (const method of methods) {
    const value: unknown = given[method];
    if (typeof value !== "function") throw new TypeError(`driver.${method} must be a function, got ${describe(value)}`);
  }
  const { capabilities } = given;
  if (typeof capabilities !== "object" || capabilities === null)
    throw new TypeError(`driver.capabilities must be an object, got ${describe(capabilities)}`);
  for (const name of Object.keys(least) as (keyof typeof least)[]) checkCapability(name, capabilities[name]);
}

function checkCapability(name: keyof typeof least, value: DriverCapabilities[typeof name]): void {
  if (name === "wakeMs" && value === undefined) return;
  if (typeof value !== "number")
    throw new TypeError(`driver.capabilities.${name} must be a number of ${least[name]} or more, got ${describe(value)}`);
  if (!(value >= least[name])) throw new RangeError(`driver.capabilities.${name} must be a number of ${least[name]} or more, got ${value}`);
}
