/** A driver that counts what it is asked for: what takes no time here is a round trip elsewhere. */
import type { LockDriver } from "@dlock/core";

export interface Calls {
  acquire: number;
  extend: number;
  release: number;
  /** Claims of all three together. */
  claims: number;
  /** The most claims one call carried. */
  largest: number;
  watch: number;
}

/** The same driver without `immediate`, so that claims are grouped as they are for a server. */
export function counted(driver: LockDriver, onExtend: () => void = () => {}): { driver: LockDriver; calls: Calls } {
  const calls: Calls = { acquire: 0, extend: 0, release: 0, claims: 0, largest: 0, watch: 0 };
  const count = (what: "acquire" | "extend" | "release", claims: number) => {
    calls[what]++;
    calls.claims += claims;
    calls.largest = Math.max(calls.largest, claims);
  };
  const { laneOf, watch } = driver;
  const counting: LockDriver = {
    name: driver.name,
    capabilities: driver.capabilities,
    acquire(claims, call) {
      count("acquire", claims.length);
      return driver.acquire(claims, call);
    },
    extend(claims, call) {
      onExtend();
      count("extend", claims.length);
      return driver.extend(claims, call);
    },
    release(claims, call) {
      count("release", claims.length);
      return driver.release(claims, call);
    },
    inspect: (key, call) => driver.inspect(key, call),
    list: (options) => driver.list(options),
    sweep: (call) => driver.sweep(call),
    ping: (call) => driver.ping(call),
    close: () => driver.close(),
    ...(laneOf === undefined ? {} : { laneOf: laneOf.bind(driver) }),
    ...(watch === undefined
      ? {}
      : {
          watch(claim, wake) {
            calls.watch++;
            return watch.call(driver, claim, wake);
          },
        }),
  };
  return { driver: counting, calls };
}
