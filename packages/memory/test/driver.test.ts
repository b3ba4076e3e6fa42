/** What only this backend promises: stores that drivers share, the store's clock, and what it keeps. */
import { fork } from "node:child_process";
import { once } from "node:events";
import type { AcquireClaim, Clock, LockDriver } from "@dlock/core";
import { systemClock } from "@dlock/core";
import { describe, expect, it } from "vitest";
import { createMemoryStore, memoryDriver } from "../src/index.ts";

const call = { timeoutMs: 1_000 };

async function acquire(driver: LockDriver, claim: Partial<AcquireClaim> & { key: string; owner: string }) {
  const [result] = await driver.acquire([{ ttlMs: 1_000, mode: "exclusive", ...claim }], call);
  if (result === undefined || result instanceof Error) throw new Error("no verdict", { cause: result });
  return result;
}

/** Stands still until told to go on; `go` runs the timers that are due. */
function handClock(): Clock & { go(ms: number): void; timers: number } {
  let now = 0;
  const alarms = new Set<{ at: number; run: () => void }>();
  return {
    now: () => now,
    date: () => new Date(now),
    setTimer(run, ms) {
      const alarm = { at: now + ms, run };
      alarms.add(alarm);
      return { cancel: () => alarms.delete(alarm), keepAlive: () => {} };
    },
    go(ms) {
      now += ms;
      for (const alarm of [...alarms]) {
        if (alarm.at > now || !alarms.delete(alarm)) continue;
        alarm.run();
      }
    },
    get timers() {
      return alarms.size;
    },
  };
}

describe("stores", () => {
  it("are shared only by the drivers they are given to", async () => {
    const store = createMemoryStore();
    const key = "shared";
    expect(await acquire(memoryDriver({ store }), { key, owner: "a" })).toMatchObject({ acquired: true });
    expect(await acquire(memoryDriver({ store }), { key, owner: "b" })).toMatchObject({ acquired: false, holder: { owner: "a" } });
    expect(await acquire(memoryDriver(), { key, owner: "b" })).toMatchObject({ acquired: true });
  });

  it("keep nothing of a released lease, and nothing of an ended one after a sweep", async () => {
    const clock = handClock();
    const store = createMemoryStore({ clock });
    const driver = memoryDriver({ store });
    for (let index = 0; index < 100; index += 1) {
      const key = `once-${index}`;
      await acquire(driver, { key, owner: "a" });
      if (index % 2 === 0) await driver.release([{ key, owner: "a" }], call);
      else await acquire(driver, { key, owner: "b", queue: true });
    }
    expect(store.size).toBe(100);
    clock.go(1_000);
    expect(await driver.sweep(call)).toBe(100);
    expect(store.size).toBe(0);
  });

  it("have one clock: a driver takes a store or a clock, not both", () => {
    expect(() => memoryDriver({ store: createMemoryStore(), clock: systemClock })).toThrow(TypeError);
  });
});

describe("time", () => {
  it("ends a lease at the very millisecond, not before", async () => {
    const clock = handClock();
    const driver = memoryDriver({ clock });
    await acquire(driver, { key: "k", owner: "a", ttlMs: 500 });
    clock.go(499);
    expect(await acquire(driver, { key: "k", owner: "b" })).toEqual({
      acquired: false,
      retryAfterMs: 1,
      holder: { owner: "a", token: 1n, mode: "exclusive", remainingMs: 1, heldMs: 499 },
    });
    clock.go(1);
    expect(await acquire(driver, { key: "k", owner: "b" })).toMatchObject({ acquired: true, token: 2n });
  });

  it("tells each claim when enough leases will have ended for it", async () => {
    const driver = memoryDriver({ clock: handClock() });
    for (const [owner, ttlMs] of [
      ["a", 300],
      ["b", 100],
      ["c", 200],
    ] as const) {
      await acquire(driver, { key: "k", owner, ttlMs, mode: "shared" });
    }
    expect(await acquire(driver, { key: "k", owner: "d", mode: "shared", limit: 3 })).toMatchObject({ retryAfterMs: 100 });
    expect(await acquire(driver, { key: "k", owner: "d", mode: "shared", limit: 2 })).toMatchObject({ retryAfterMs: 200 });
    expect(await acquire(driver, { key: "k", owner: "d" })).toMatchObject({ retryAfterMs: 300 });
  });

  it("rounds a fraction of a millisecond up", async () => {
    const driver = memoryDriver({ clock: handClock() });
    expect(await acquire(driver, { key: "k", owner: "a", ttlMs: 0.2 })).toMatchObject({ acquired: true, ttlMs: 1 });
  });
});

describe("watches", () => {
  it("wake when a lease ends by itself, also one that was renewed", async () => {
    const clock = handClock();
    const driver = memoryDriver({ clock });
    const held = await acquire(driver, { key: "k", owner: "a", ttlMs: 100 });
    const wakes: number[] = [];
    const stop = await driver.watch?.({ key: "k", owner: "b" }, () => wakes.push(clock.now()));
    clock.go(50);
    const token = held.acquired ? held.token : 0n;
    await driver.extend([{ key: "k", owner: "a", token, ttlMs: 100, longestMs: 100 }], call);
    clock.go(50);
    clock.go(50);
    expect(wakes.at(-1)).toBe(150);
    expect(await driver.inspect("k", call)).toEqual([]);
    stop?.();
    expect(clock.timers).toBe(0);
  });

  it("wake when the first in the queue lets its place end", async () => {
    const clock = handClock();
    const driver = memoryDriver({ clock });
    await acquire(driver, { key: "k", owner: "a" });
    await acquire(driver, { key: "k", owner: "b", queue: true, ttlMs: 100 });
    await driver.release([{ key: "k", owner: "a" }], call);
    const woken: number[] = [];
    await driver.watch?.({ key: "k", owner: "c" }, () => woken.push(clock.now()));
    clock.go(100);
    expect(woken).toEqual([100]);
    expect(await acquire(driver, { key: "k", owner: "c" })).toMatchObject({ acquired: true });
  });

  it("wake soon when the key is free already", async () => {
    const clock = handClock();
    const driver = memoryDriver({ clock });
    let woken = 0;
    await driver.watch?.({ key: "k", owner: "a" }, () => {
      woken += 1;
    });
    clock.go(0);
    expect(woken).toBe(1);
  });

  it("end with the driver that began them, and only those", async () => {
    const clock = handClock();
    const store = createMemoryStore({ clock });
    const [mine, other] = [memoryDriver({ store }), memoryDriver({ store })];
    await acquire(other, { key: "k", owner: "a" });
    const woken: string[] = [];
    await mine.watch?.({ key: "k", owner: "b" }, () => woken.push("mine"));
    await other.watch?.({ key: "k", owner: "c" }, () => woken.push("other"));
    await mine.close();
    await other.release([{ key: "k", owner: "a" }], call);
    expect(woken).toEqual(["other"]);
    await other.close();
    expect(clock.timers).toBe(0);
  });

  it("do not keep the process alive", async () => {
    const child = fork(new URL("support/idle-watch.mjs", import.meta.url), { stdio: "ignore" });
    expect(await once(child, "exit")).toEqual([0, null]);
  });
});
