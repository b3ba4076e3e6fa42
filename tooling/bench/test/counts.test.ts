/** What the engine asks of a driver and of the clock: counts, which are the same on any machine, so that no change can make more of them unseen. */
import { createLockProvider, type HandOffOptions, type LockProvider } from "@dlock/core";
import { createMemoryStore, memoryDriver } from "@dlock/memory";
import { afterEach, expect, test } from "vitest";
import { counted } from "../src/counting.ts";
import { together } from "../src/work.ts";
import { CountingClock } from "./support/counting-clock.ts";

const opened: LockProvider[] = [];

afterEach(async () => {
  await Promise.all(opened.splice(0).map((locks) => locks.close()));
});

function world(clock = new CountingClock(), store = createMemoryStore({ clock }), handOff?: HandOffOptions) {
  const { driver, calls } = counted(memoryDriver({ store }));
  const locks = createLockProvider(driver, { clock, sweepIntervalMs: 0, ...(handOff === undefined ? {} : { handOff }) });
  opened.push(locks);
  const cycle = async (key: string) => {
    const lock = await locks.lock(key);
    await lock.unlock();
  };
  /** What `work` makes of calls and timers. */
  const count = async (work: () => Promise<unknown>) => {
    const before = { ...calls, timers: clock.timersSet };
    calls.largest = 0;
    await work();
    return {
      acquire: calls.acquire - before.acquire,
      release: calls.release - before.release,
      extend: calls.extend - before.extend,
      claims: calls.claims - before.claims,
      watch: calls.watch - before.watch,
      largest: calls.largest,
      timers: clock.timersSet - before.timers,
    };
  };
  return { clock, store, locks, cycle, count };
}

test("an uncontended cycle is two calls with one claim each, and sets no timer of its own", async () => {
  const { cycle, count } = world();
  await cycle("the first one sets the provider's timer");
  expect(await count(() => cycle("key"))).toEqual({ acquire: 1, release: 1, extend: 0, claims: 2, watch: 0, largest: 1, timers: 0 });
});

test("a thousand cycles one after another set no more timers than one", async () => {
  const { cycle, count } = world();
  const { acquire, release, claims, timers } = await count(() => together(1, 1_000, (unit) => cycle(`key ${unit}`)));
  expect([acquire, release, claims]).toEqual([1_000, 1_000, 2_000]);
  expect(timers).toBeLessThanOrEqual(2);
});

test("256 cycles at once are one call to acquire and one to release", async () => {
  const { cycle, count } = world();
  const counts = await count(() => together(256, 256, (unit) => cycle(`key ${unit}`)));
  expect(counts).toMatchObject({ acquire: 1, release: 1, extend: 0, claims: 512, watch: 0, largest: 256 });
  expect(counts.timers).toBeLessThanOrEqual(2);
});

test.each([
  { name: "170 sections that take no time for two calls, and no watch", handOff: undefined, leases: 1 },
  { name: "17 sections for two calls where it is handed on 16 times at most", handOff: { max: 16 }, leases: 10 },
])("waiters of one process on one key share a lease: $name", async ({ handOff, leases }) => {
  const { clock, cycle, count } = world(undefined, undefined, handOff);
  const sections = 170;
  const counts = await count(async () => {
    const done = together(16, sections, () => cycle("key"));
    await clock.pass(1_000);
    await done;
  });
  expect([counts.acquire, counts.release, counts.claims]).toEqual([leases, leases, 2 * leases]);
  expect(counts.watch).toBe(0);
});

test("64 waiters for a key that another provider holds ask the server as often as one would", async () => {
  const { clock, store, cycle, count } = world();
  const other = world(clock, store);
  const held = await other.locks.lock("key");
  const counts = await count(async () => {
    const waiting = together(64, 64, () => cycle("key"));
    await clock.pass(100);
    await held.unlock();
    await clock.pass(1_000);
    await waiting;
  });
  // Refused, again when the watch stands, again after a while; then granted once or a few times for all.
  expect(counts.acquire).toBeLessThanOrEqual(7);
  expect(counts.watch).toBe(1);
});

test("a thousand waiters for as many keys of another provider look again in at most 20 calls a second", async () => {
  const { clock, store, locks, count } = world();
  const other = world(clock, store);
  const keys = Array.from({ length: 1_000 }, (_, index) => `key ${index}`);
  const held = await Promise.all(keys.map((key) => other.locks.lock(key, { ttlMs: 600_000 })));
  const waits = keys.map((key) => locks.lock(key, { waitMs: 60_000 }).catch(() => undefined));
  await clock.pass(5_000);
  const counts = await count(() => clock.pass(10_000));
  expect(counts.claims).toBeGreaterThan(1_000);
  expect(counts.acquire).toBeLessThanOrEqual(200);
  await locks.close();
  await Promise.all([...waits, ...held.map((lock) => lock.unlock())]);
});

test("10,000 held locks are renewed in calls of 500 and more, on one timer", async () => {
  const { clock, locks, count } = world();
  const handles = await Promise.all(Array.from({ length: 10_000 }, (_, index) => locks.lock(`key ${index}`, { ttlMs: 30_000 })));
  const counts = await count(() => clock.pass(10_000));
  expect(counts).toMatchObject({ acquire: 0, release: 0, claims: 10_000 });
  expect(locks.stats().refreshCount).toBe(10_000);
  expect(counts.extend).toBeLessThanOrEqual(20);
  // One a second looks whether the machine slept; a few more let the event loop turn between batches.
  expect(counts.timers).toBeLessThanOrEqual(40);
  await Promise.all(handles.map((lock) => lock.unlock()));
});
