/** The usual cast of a scenario: a virtual clock, a scripted driver, a provider, and other processes at the same server. */
import { createLockProvider, type LockEventName, type LockEvents, type LockProvider, type ProviderOptions } from "../../src/index.ts";
import { ScriptedDriver, type ScriptedOptions } from "./scripted-driver.ts";
import { VirtualClock } from "./virtual-clock.ts";

export interface Scenario {
  readonly clock: VirtualClock;
  readonly driver: ScriptedDriver;
  readonly locks: LockProvider;
  /** Another process: a provider of its own over a driver of its own at the same server. */
  another(options?: ProviderOptions, driverOptions?: ScriptedOptions): { locks: LockProvider; driver: ScriptedDriver };
}

/** The sweeper is off unless asked for, so that an idle provider has no timer. */
export function scenario(options: ProviderOptions = {}, driverOptions: ScriptedOptions = {}): Scenario {
  const clock = new VirtualClock();
  const driver = new ScriptedDriver(clock, driverOptions);
  const provide = (over: ScriptedDriver, more: ProviderOptions) => createLockProvider(over, { clock, sweepIntervalMs: 0, ...more });
  return {
    clock,
    driver,
    locks: provide(driver, options),
    another(moreOptions = options, moreDriverOptions = driverOptions) {
      const other = new ScriptedDriver(clock, { ...moreDriverOptions, table: driver.table });
      return { driver: other, locks: provide(other, moreOptions) };
    },
  };
}

/** The error a promise rejects with; fails when it resolves. */
export async function errorOf(work: Promise<unknown>): Promise<unknown> {
  let value: unknown;
  try {
    value = await work;
  } catch (error) {
    return error;
  }
  throw new Error(`expected a rejection, got ${String(value)}`);
}

/** What an event told so far. */
export function record<N extends LockEventName>(locks: LockProvider, name: N): LockEvents[N][] {
  const told: LockEvents[N][] = [];
  locks.on(name, (event) => told.push(event));
  return told;
}

/** Whether a promise has settled by now; ask after the clock has settled. */
export function watchPromise<T>(work: Promise<T>): { state: "pending" | "resolved" | "rejected"; value?: T; error?: unknown } {
  const seen: { state: "pending" | "resolved" | "rejected"; value?: T; error?: unknown } = { state: "pending" };
  work.then(
    (value) => Object.assign(seen, { state: "resolved", value }),
    (error: unknown) => Object.assign(seen, { state: "rejected", error }),
  );
  return seen;
}
