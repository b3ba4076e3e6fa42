/** Leases that were written in another clock: before a reboot, in another time namespace, on another kernel that shares the file. */
import type { LockDriver } from "@dlock/core";
import { expect, it, onTestFinished } from "vitest";
import { makeDriver } from "../src/driver.ts";
import { hostClock } from "../src/host-clock.ts";
import { acquire, call, extend, grant, release } from "./support/claims.ts";
import { temporaryFile } from "./support/files.ts";

interface SetClock {
  identity: string;
  ms: number;
}

/** A driver whose clock stands where the test puts it. */
function driverIn(path: string, clock: SetClock): LockDriver {
  const driver = makeDriver(path, {}, { hostClock: { identity: clock.identity, now: () => BigInt(clock.ms * 1_000) } });
  onTestFinished(() => driver.close());
  return driver;
}

const key = "job";

it("names the boot and the time namespace on Linux", () => {
  if (process.platform !== "linux") return expect(hostClock.identity).toBe(process.platform);
  expect(hostClock.identity).toMatch(/^[0-9a-f-]{36} time:\S+$/);
});

it("honours a lease of another boot until it stood unchanged for its TTL since it was first seen", async () => {
  const path = temporaryFile();
  const before = { identity: "boot 1", ms: 9_000_000 };
  const after = { identity: "boot 2", ms: 5 };
  const token = await grant(driverIn(path, before), { key, owner: "old", ttlMs: 1_000 });
  const driver = driverIn(path, after);
  expect(await acquire(driver, { key, owner: "new" })).toMatchObject({ acquired: false, retryAfterMs: 1_000, holder: { owner: "old" } });
  after.ms += 999;
  expect(await acquire(driver, { key, owner: "new" })).toMatchObject({ acquired: false, retryAfterMs: 1, holder: { heldMs: 999 } });
  after.ms += 1;
  expect(await grant(driver, { key, owner: "new" })).toBeGreaterThan(token);
});

it("honours a lease of another boot even when it looks ended in this boot's clock", async () => {
  const path = temporaryFile();
  await grant(driverIn(path, { identity: "boot 1", ms: 5 }), { key, owner: "old", ttlMs: 1_000 });
  const driver = driverIn(path, { identity: "boot 2", ms: 9_000_000 });
  expect((await acquire(driver, { key, owner: "new" })).acquired).toBe(false);
  expect(await driver.inspect(key, call)).toMatchObject([{ owner: "old", remainingMs: 1_000, heldMs: 0 }]);
});

it("begins to count anew when the holder in the other time namespace renews", async () => {
  const path = temporaryFile();
  const theirs = { identity: "boot 1 time:a", ms: 9_000_000 };
  const ours = { identity: "boot 1 time:b", ms: 5 };
  const holder = driverIn(path, theirs);
  const driver = driverIn(path, ours);
  const token = await grant(holder, { key, owner: "old", ttlMs: 1_000 });
  for (let round = 0; round < 5; round += 1) {
    expect((await acquire(driver, { key, owner: "new" })).acquired).toBe(false);
    theirs.ms += 700;
    ours.ms += 700;
    expect(await extend(holder, key, "old", token, 1_000)).toBe(true);
  }
  expect((await acquire(driver, { key, owner: "new" })).acquired).toBe(false);
  ours.ms += 1_000;
  expect((await acquire(driver, { key, owner: "new" })).acquired).toBe(true);
  expect(await extend(holder, key, "old", token, 1_000)).toBe(false);
});

it("lets an owner of another time namespace renew and release", async () => {
  const path = temporaryFile();
  const token = await grant(driverIn(path, { identity: "boot 1 time:a", ms: 9_000_000 }), { key, owner: "same", ttlMs: 1_000 });
  const ours = { identity: "boot 1 time:b", ms: 5 };
  const driver = driverIn(path, ours);
  expect(await extend(driver, key, "same", token, 2_000)).toBe(true);
  ours.ms += 1_999;
  expect(await driver.inspect(key, call)).toMatchObject([{ owner: "same", remainingMs: 1 }]);
  expect(await release(driver, key, "same", token)).toBe(true);
});

it("does not keep a lock for the old uptime after a reboot that has no name", async () => {
  const path = temporaryFile();
  const clock = { identity: "darwin", ms: 9_000_000 };
  const driver = driverIn(path, clock);
  await grant(driver, { key, owner: "old", ttlMs: 1_000 });
  clock.ms = 5;
  expect((await acquire(driver, { key, owner: "new" })).acquired).toBe(false);
  clock.ms += 1_000;
  expect((await acquire(driver, { key, owner: "new" })).acquired).toBe(true);
});

it("sweeps leases of another boot after their TTL, and not before", async () => {
  const path = temporaryFile();
  const before = driverIn(path, { identity: "boot 1", ms: 9_000_000 });
  const after = { identity: "boot 2", ms: 5 };
  for (const batch of [1, 2, 3]) {
    const claims = Array.from({ length: 400 }, (_, index) => ({ key: `${key}:${batch}:${index}`, owner: "old", ttlMs: 1_000 }));
    await before.acquire(
      claims.map((claim) => ({ ...claim, mode: "exclusive" as const })),
      call,
    );
  }
  const driver = driverIn(path, after);
  expect(await driver.sweep(call)).toBe(0);
  after.ms += 1_000;
  expect(await driver.sweep(call)).toBe(1_200);
  expect(await driver.sweep(call)).toBe(0);
});
