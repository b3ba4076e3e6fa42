/** Any value for any option, key or owner: accepted, or refused with a typed error that names it; and afterwards nothing is held or waits. */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createLockProvider, type Lock, type LockProvider, type ProviderOptions } from "../../src/index.ts";
import { type Scenario, scenario } from "../support/scenario.ts";
import { ScriptedDriver } from "../support/scripted-driver.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { anyString, anything, expectDocumented, Made, objectOf, outcomeOf, type Some, someOf } from "./hostile.ts";

const unhandled: unknown[] = [];
const note = (reason: unknown) => unhandled.push(reason);
beforeAll(() => void process.on("unhandledRejection", note));
afterAll(() => void process.off("unhandledRejection", note));
/** Each run answers for itself. */
fc.configureGlobal({ beforeEach: () => void unhandled.splice(0) });

const acquisition = ["ttlMs", "signal", "metadata", "attemptTimeoutMs", "autoRenew", "maxHoldMs", "reentrant", "detached"];
const oneKey = [...acquisition, "mode", "limit", "owner"];
const waiting = ["waitMs", "retry", "retryCount", "retryDelayMs", "queue"];
const ofProvider = [
  ...["ttlMs", "attemptTimeoutMs", "autoRenew", "maxHoldMs", "handOff", "detectDeadlocks", "heldLongMs", "failureRate"],
  ...["sweepIntervalMs", "instanceId", "logger", "clock", ...waiting],
];

/** The key "busy" is another's for 5 s. */
const keys = fc.constantFrom("free", "busy");

/** A way to use the locks with options that were made up. */
interface Way {
  readonly options: readonly string[];
  call(locks: LockProvider, key: string, options: never): unknown;
}

/** Some options, or something else in their place. */
const optionsOf = (names: readonly string[]): fc.Arbitrary<Some | Made> =>
  fc.oneof({ weight: 6, arbitrary: someOf(names) }, { weight: 1, arbitrary: anything });
const givenOf = (options: Some | Made): unknown => (options instanceof Made ? options.make() : objectOf(options));
const namesOf = (options: Some | Made): string[] => (options instanceof Made ? ["options", "requests"] : options.map(([name]) => name));

const body = () => "done";
const ways: Record<string, Way> = {
  lock: { options: [...oneKey, ...waiting], call: (locks, key, options) => locks.lock(key, options) },
  tryLock: { options: oneKey, call: (locks, key, options) => locks.tryLock(key, options) },
  withLock: { options: [...oneKey, ...waiting], call: (locks, key, options) => locks.withLock(key, options, body) },
  tryWithLock: { options: oneKey, call: (locks, key, options) => locks.tryWithLock(key, options, body) },
  lockAll: { options: [...acquisition, "waitMs"], call: (locks, key, options) => locks.lockAll([key, "other"], options) },
  "a request of lockAll": {
    options: ["key", "mode", "limit"],
    call: (locks, key, request) => locks.lockAll([request, { key, mode: "shared" }]),
  },
  singleflight: { options: ["lock", "signal"], call: (locks, key, options) => locks.singleflight(key, body, options) },
  autoRefresh: {
    options: ["intervalMs", "timeoutMs", "maxHoldMs"],
    call: async (locks, key, options) => {
      const lock = await locks.lock(key);
      const refreshed = lock.autoRefresh(options);
      const released = lock.unlock();
      await refreshed;
      await released;
    },
  },
  list: {
    options: ["prefix"],
    call: async (locks, _key, options) => {
      for await (const _ of locks.list(options)) expect(_).toHaveProperty("owner");
    },
  },
};

/** Gives back what a call has got, and lets all come to rest. */
async function expectAtRest({ clock, driver, locks }: Scenario, value: unknown): Promise<void> {
  const lock = value as Partial<Lock> | undefined;
  if (typeof lock?.unlock === "function") await clock.until(lock.unlock());
  await clock.advance(700_000);
  const { active, waiting: left } = locks.stats();
  expect({ active, left, table: driver.table.keys(), watched: driver.table.watched, timers: clock.pending, unhandled }).toEqual({
    active: 0,
    left: 0,
    table: [],
    watched: 0,
    timers: 0,
    unhandled: [],
  });
}

function busyScenario(options: ProviderOptions = {}): Scenario {
  const here = scenario(options, { watch: true });
  here.driver.table.occupy("busy", 5_000, "other");
  return here;
}

describe("any value for an option", () => {
  test.each(Object.entries(ways))("of %s is accepted or refused by name", async (_name, { options: names, call }) => {
    await fc.assert(
      fc.asyncProperty(keys, optionsOf(names), async (key, options) => {
        const here = busyScenario();
        const outcome = await here.clock.until(outcomeOf(() => call(here.locks, key, givenOf(options) as never)));
        if (!outcome.ok) expectDocumented(outcome.error, namesOf(options));
        await expectAtRest(here, outcome.ok ? outcome.value : undefined);
      }),
      { numRuns: 300 },
    );
  });

  test("of a provider is accepted or refused by name, and what is accepted works", async () => {
    await fc.assert(
      fc.asyncProperty(optionsOf(ofProvider), async (options) => {
        const clock = new VirtualClock();
        const driver = new ScriptedDriver(clock);
        const given = options instanceof Made ? options.make() : { clock, ...objectOf(options) };
        const made = await outcomeOf(() => createLockProvider(driver, given as never));
        if (!made.ok) {
          expectDocumented(made.error, namesOf(options));
          return;
        }
        const locks = made.value as LockProvider;
        const outcome = await clock.until(outcomeOf(async () => (await locks.lock("a")).unlock()));
        if (!outcome.ok) expectDocumented(outcome.error, ["retry"]);
        await clock.until(locks.close());
        expect({ table: driver.table.size, timers: clock.pending, unhandled }).toEqual({ table: 0, timers: 0, unhandled: [] });
      }),
      { numRuns: 300 },
    );
  });
});

describe("any key", () => {
  const calls: Record<string, (locks: LockProvider, key: never) => unknown> = {
    lock: (locks, key) => locks.lock(key),
    tryLock: (locks, key) => locks.tryLock(key),
    withLock: (locks, key) => locks.withLock(key, body),
    lockAll: (locks, key) => locks.lockAll([key]),
    singleflight: (locks, key) => locks.singleflight(key, body),
    isLocked: (locks, key) => locks.isLocked(key),
    inspect: (locks, key) => locks.inspect(key),
    renew: (locks, key) => locks.renew(key, "me", 1_000),
    autoRenew: (locks, key) => locks.autoRenew(key, "me"),
    unlock: (locks, key) => locks.unlock(key, "me"),
    currentLock: (locks, key) => locks.currentLock(key),
  };

  test.each(Object.entries(calls))("in %s is taken to the byte, or refused as a key", async (_name, call) => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(anyString, anything), async ({ make }) => {
        const here = scenario();
        const key = make();
        const outcome = await here.clock.until(outcomeOf(() => call(here.locks, key as never)));
        if (!outcome.ok) expectDocumented(outcome.error, ["key", "requests"]);
        for (const claim of here.driver.claimsOf("acquire")) expect(claim.key).toBe(key);
        await expectAtRest(here, outcome.ok ? outcome.value : undefined);
      }),
      { numRuns: 300 },
    );
  });
});

describe("any argument", () => {
  const calls: Record<string, { names: string[]; call: (locks: LockProvider, value: never) => unknown }> = {
    "the owner of renew": { names: ["owner"], call: (locks, value) => locks.renew("a", value, 1_000) },
    "the ttlMs of renew": { names: ["ttlMs"], call: (locks, value) => locks.renew("a", "me", value) },
    "the owner of unlock": { names: ["owner"], call: (locks, value) => locks.unlock("a", value) },
    "the owner of autoRenew": { names: ["owner"], call: (locks, value) => locks.autoRenew("a", value) },
    "the body of withLock": { names: ["body"], call: (locks, value) => locks.withLock("a", value) },
    "the call of singleflight": { names: ["call"], call: (locks, value) => locks.singleflight("a", value) },
    "the event of on": { names: ["event"], call: (locks, value) => void locks.on(value, () => {}) },
    "the listener of on": { names: ["listener"], call: (locks, value) => void locks.on("lost", value) },
    "the requests of lockAll": { names: ["requests"], call: (locks, value) => locks.lockAll(value) },
    "the ttlMs of refresh": {
      names: ["ttlMs"],
      call: async (locks, value) => {
        const lock = await locks.lock("a");
        return lock.refresh(value).finally(() => lock.unlock());
      },
    },
    "the driver of a provider": {
      names: ["driver"],
      call: async (_locks, value) => {
        await createLockProvider(value, { sweepIntervalMs: 0 }).close();
      },
    },
  };

  test.each(Object.entries(calls))("as %s is accepted or refused by name", async (_name, { names, call }) => {
    await fc.assert(
      fc.asyncProperty(anything, async ({ make }) => {
        const here = scenario();
        const value = make();
        const outcome = await here.clock.until(outcomeOf(() => call(here.locks, value as never)));
        if (!outcome.ok) expectDocumented(outcome.error, names);
        await expectAtRest(here, outcome.ok ? outcome.value : undefined);
      }),
      { numRuns: 300 },
    );
  });

  test("as an option of autoRenew is accepted or refused by name", async () => {
    await fc.assert(
      fc.asyncProperty(someOf(["intervalMs", "ttlMs", "signal"]), async (options) => {
        const here = scenario();
        const held = await here.clock.until(here.locks.lock("a", { owner: "me" }));
        const renewing = outcomeOf(() => here.locks.autoRenew("a", "me", objectOf(options) as never));
        await here.clock.advance(100);
        // It has no end of its own: the lease's is one.
        await here.clock.until(held.unlock());
        await here.clock.until(here.locks.close());
        const outcome = await here.clock.until(renewing);
        if (!outcome.ok) expectDocumented(outcome.error, namesOf(options));
        expect({ table: here.driver.table.size, timers: here.clock.pending, unhandled }).toEqual({ table: 0, timers: 0, unhandled: [] });
      }),
      { numRuns: 300 },
    );
  });
});
