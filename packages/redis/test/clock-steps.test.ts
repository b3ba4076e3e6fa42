// A server whose wall clock is set an hour back or on while locks are held: it is the clock that Redis counts its expiries by.

import { once } from "node:events";
import { createLockProvider, type LockEvents, type LockProvider } from "@dlock/core";
import { type Service, type SteppableClock, startRedis, steppableClock } from "@dlock-tooling/services";
import { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type RedisLockDriver, redisDriver } from "../src/index.ts";
import { call, exclusive, grant, only } from "./claims.ts";

const hour = 3_600;
let clock: SteppableClock;
let server: Service;
let admin: Redis;
let driver: RedisLockDriver;
let locks: LockProvider;

beforeAll(async () => {
  clock = await steppableClock();
  server = await startRedis({ env: clock.env });
  admin = new Redis(server.url);
});

beforeEach(async () => {
  await step(0);
  await admin.flushall();
  driver = redisDriver({ url: server.url });
  locks = createLockProvider(redisDriver({ url: server.url }), { ttlMs: 1_500 });
});

afterEach(async () => {
  await locks.close();
  await driver.close();
});

afterAll(async () => {
  admin.disconnect();
  await server.stop();
});

/** Steps, and makes sure that the server has noticed. */
async function step(offsetSeconds: number): Promise<void> {
  clock.step(offsetSeconds);
  // Valkey 9.1 looks at the wall clock now and then, and goes by the monotonic one in between.
  await expect.poll(async () => Math.abs(Number((await admin.time())[0]) - Date.now() / 1_000 - offsetSeconds)).toBeLessThan(60);
}

function next<N extends "renewed" | "lost">(name: N): Promise<LockEvents[N]> {
  return new Promise((resolve) => {
    const off = locks.on(name, (event) => {
      off();
      resolve(event);
    });
  });
}

const remaining = async (key: string) => (await driver.inspect(key, call))[0]?.remainingMs ?? 0;

describe("a clock that steps an hour back", () => {
  it("stretches a lease until the holder's next renewal", async () => {
    const lock = await locks.lock("a");
    await step(-hour);
    expect(await remaining("a")).toBeGreaterThan(3_000_000);
    await next("renewed");
    expect(lock.isHeld).toBe(true);
    expect(await remaining("a")).toBeLessThanOrEqual(1_501);
  });

  it("stretches a shared lease until its next renewal", async () => {
    const token = await grant(driver, "s", "me", { ttlMs: 1_500, mode: "shared" });
    await step(-hour);
    expect(await remaining("s")).toBeGreaterThan(3_000_000);
    expect(await only(driver.extend([{ key: "s", owner: "me", token, ttlMs: 1_500, longestMs: 1_500 }], call))).toBe(true);
    expect(await remaining("s")).toBeLessThanOrEqual(1_501);
  });

  it("lets a release free the key at once", async () => {
    const lock = await locks.lock("a");
    await step(-hour);
    expect(await lock.unlock()).toBe(true);
    expect(await only(driver.acquire([exclusive("a")], call))).toMatchObject({ acquired: true });
  });

  it("leaves tokens growing", async () => {
    const before = await grant(driver, "a");
    await step(-hour);
    expect(await grant(driver, "b")).toBe(before + 1n);
    expect(await grant(driver, "c")).toBe(before + 2n);
  });
});

describe("a clock that steps an hour on", () => {
  it("ends a lease, which the holder is told at its next renewal", async () => {
    const lock = await locks.lock("a");
    const { signal } = lock;
    const told = next("lost");
    const aborted = once(signal, "abort");
    await step(hour);
    expect(await told).toMatchObject({ key: "a", reason: "refused" });
    await aborted;
    expect(lock.isHeld).toBe(false);
    const token = await grant(driver, "a", "other");
    expect(token << 10n).toBeGreaterThan(lock.token);
  });

  it("ends a shared lease too", async () => {
    const token = await grant(driver, "s", "me", { ttlMs: 1_500, mode: "shared" });
    await step(hour);
    expect(await only(driver.extend([{ key: "s", owner: "me", token, ttlMs: 1_500, longestMs: 1_500 }], call))).toBe(false);
    expect(await grant(driver, "s", "other")).toBeGreaterThan(token);
  });
});
