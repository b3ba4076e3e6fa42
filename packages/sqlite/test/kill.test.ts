/** Processes that are killed while they acquire and release: the file stays sound, and what they held ends with its TTL. */
import { setTimeout as later } from "node:timers/promises";
import Database from "better-sqlite3";
import { expect, it, onTestFinished } from "vitest";
import { sqliteDriver } from "../src/index.ts";
import { acquire, call, grant } from "./support/claims.ts";
import { temporaryFile } from "./support/files.ts";
import { Peer } from "./support/process.ts";

it("kill -9 at any moment leaves a sound file, growing tokens, and no lock beyond its TTL", async () => {
  const path = temporaryFile();
  const driver = sqliteDriver(path);
  onTestFinished(() => driver.close());
  const keys = Array.from({ length: 10 }, (_, index) => `k${index}`);
  let highest = 0n;
  for (let round = 0; round < 5; round += 1) {
    const peer = await Peer.start(path);
    await peer.call("churn", keys);
    // Any moment will do, and which one is the point.
    await later(20 + 10 * round);
    for await (const { token } of driver.list({})) highest = token > highest ? token : highest;
    await peer.kill();
    for (const key of keys) {
      let token: bigint | undefined;
      await expect
        .poll(
          async () => {
            const result = await acquire(driver, { key, owner: `${round}`, ttlMs: 100 });
            if (result.acquired) token = result.token;
            return result.acquired;
          },
          { interval: 10 },
        )
        .toBe(true);
      expect(token).toBeGreaterThan(highest);
      highest = token as bigint;
    }
  }
  const raw = new Database(path);
  onTestFinished(() => void raw.close());
  expect(raw.pragma("integrity_check", { simple: true })).toBe("ok");
});

it("a lease of a process that is gone stands until its TTL, and a sweep removes it after", async () => {
  const path = temporaryFile();
  const driver = sqliteDriver(path);
  onTestFinished(() => driver.close());
  const peer = await Peer.start(path);
  await peer.call("acquire", "k", "theirs", 500);
  await peer.kill();
  expect(await driver.sweep(call)).toBe(0);
  await expect.poll(() => driver.inspect("k", call)).toEqual([]);
  expect(await driver.sweep(call)).toBe(1);
});

it("tokens keep every digit up to 2^53, beyond which none is granted", async () => {
  const path = temporaryFile();
  const first = sqliteDriver(path);
  await first.ping(call);
  await first.close();
  const raw = new Database(path);
  raw.exec("UPDATE dlock_meta SET value = 9007199254740989 WHERE name = 'last_token'");
  raw.close();
  const driver = sqliteDriver(path);
  onTestFinished(() => driver.close());
  expect(await grant(driver, { key: "a", owner: "o" })).toBe(9_007_199_254_740_990n);
  expect(await grant(driver, { key: "b", owner: "o" })).toBe(9_007_199_254_740_991n);
  expect(await driver.inspect("a", call)).toMatchObject([{ token: 9_007_199_254_740_990n }]);
  expect(await driver.acquire([{ key: "c", owner: "o", ttlMs: 1_000, mode: "exclusive" }], call)).toMatchObject([
    { dlockDriverError: true, applied: "no", message: expect.stringContaining("last_token") },
  ]);
});
