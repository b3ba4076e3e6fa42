/** Statements that wait for each other: tokens, time and verdicts must not come from before the wait. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { type AcquireClaim, isDriverError, type LockDriver } from "@dlock/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { mysqlDriver } from "../src/index.ts";
import { call, cell, claim, failure, grant, lockRow, newTable, observer, serverUrl, tryOne, untilBlocked } from "./servers.ts";

const url = await serverUrl();
const pool = observer(url);
const table = newTable();
const drivers: LockDriver[] = [];

function client(): LockDriver {
  const driver = mysqlDriver({ url, table });
  drivers.push(driver);
  return driver;
}

let one: LockDriver;
let two: LockDriver;
beforeAll(async () => {
  one = client();
  two = client();
  await one.ping(call);
});
afterAll(() => Promise.all(drivers.map((driver) => driver.close())));

/** A row for the key whose lease is over. */
async function freeRow(key: string): Promise<bigint> {
  const wish = claim(key);
  const token = await grant(one, wish);
  await one.release([{ ...wish, token }], call);
  return token;
}

describe("a batch that waited for a row", () => {
  it("gives tokens above those that were granted while it waited", async () => {
    await freeRow("a1");
    const unlock = await lockRow(pool, table, "a1");
    const blocked = one.acquire([claim("a1"), claim("b1"), claim("c1")], call);
    await untilBlocked(pool, 1);
    const between = [];
    for (const key of ["b1", "c1"]) {
      const wish = claim(key);
      const token = await grant(two, wish);
      await two.release([{ ...wish, token }], call);
      between.push(token);
    }
    await unlock();
    const results = await blocked;
    const tokens = results.map((result) => (isDriverError(result) || !result.acquired ? 0n : result.token));
    expect(tokens[1]).toBeGreaterThan(between[0] as bigint);
    expect(tokens[2]).toBeGreaterThan(between[1] as bigint);
  });

  it("gives tokens above those of rows that were swept while it waited", async () => {
    await freeRow("a2");
    const unlock = await lockRow(pool, table, "a2");
    const blocked = one.acquire([claim("a2"), claim("b2")], call);
    await untilBlocked(pool, 1);
    const wish = claim("b2");
    const before = await grant(two, wish);
    // Far ahead of the time, as after the server's clock was put back: only the stored floor can tell.
    const ahead = before + 3_600_000_000n;
    await pool.query(`UPDATE ${table} SET token = ${ahead}, expires_at = '1970-01-01' WHERE lock_key = 'b2'`);
    const swept = two.sweep(call);
    await untilBlocked(pool, 2);
    await unlock();
    const [, result] = await blocked;
    await swept;
    assert(!isDriverError(result) && result?.acquired);
    expect(result.token).toBeGreaterThan(ahead);
  });

  it("holds off whoever raises the floor, and is held off by it, whatever its size and mode", async () => {
    for (const claims of [
      [claim("f1")],
      [claim("f2"), claim("f3")],
      [claim("f4", { mode: "shared" })],
      [claim("f5", { mode: "shared" }), claim("f6", { mode: "shared" })],
    ]) {
      const connection = await pool.getConnection();
      await connection.query("BEGIN");
      await connection.query(`UPDATE ${table}_floor SET token_floor = token_floor + 7200000000 WHERE id = 1`);
      const blocked = one.acquire(claims, call);
      await untilBlocked(pool, 1);
      await connection.query(`UPDATE ${table}_floor SET token_floor = GREATEST(token_floor, ${BigInt(Date.now() + 7_200_000) * 1_000n})`);
      await connection.query("COMMIT");
      connection.release();
      const floor = BigInt(String(await cell(pool, `SELECT token_floor FROM ${table}_floor`)));
      for (const result of await blocked) {
        assert(!isDriverError(result) && result.acquired);
        expect(result.token).toBeGreaterThan(floor);
      }
    }
  });

  it("gives tokens above the floor after a sweep with the clock put back", async () => {
    const wish = claim("floor");
    const ahead = (await grant(one, wish)) + 7_200_000_000n;
    await pool.query(`UPDATE ${table} SET token = ${ahead}, expires_at = '1970-01-01' WHERE lock_key = 'floor'`);
    expect(await one.sweep(call)).toBeGreaterThan(0);
    expect(await cell(pool, `SELECT COUNT(*) FROM ${table} WHERE lock_key = 'floor'`)).toBe(0);
    expect(await grant(two, claim("floor"))).toBeGreaterThan(ahead);
    expect(await grant(two, claim("floor-shared", { mode: "shared" }))).toBeGreaterThan(ahead);
  });
});

describe("a clock that was read before the wait", () => {
  it("does not renew a lease that ended meanwhile", async () => {
    const wish = claim("stale", { ttlMs: 400 });
    const token = await grant(one, wish);
    const unlock = await lockRow(pool, table, "stale");
    const extended = one.extend([{ ...wish, token, longestMs: 400 }], call);
    await sleep(500);
    await unlock();
    expect(await extended).toEqual([false]);
    expect(await one.inspect("stale", call)).toEqual([]);
  });

  it("does not renew a shared lease whose place was given away meanwhile", async () => {
    const wish = claim("place", { ttlMs: 400, mode: "shared", limit: 1 });
    const token = await grant(one, wish);
    const unlock = await lockRow(pool, `${table}_shared`, "place");
    const extended = one.extend([{ ...wish, token, longestMs: 400 }], call);
    const next = two.acquire([claim("place", { mode: "shared", limit: 1 })], call);
    await sleep(500);
    await unlock();
    expect(await extended).toEqual([false]);
    expect(await next).toMatchObject([{ acquired: true }]);
    expect(await one.inspect("place", call)).toHaveLength(1);
  });

  it("does not grant the old token again to an owner whose lease ended meanwhile", async () => {
    const wish = claim("again", { ttlMs: 400 });
    const token = await grant(one, wish);
    const unlock = await lockRow(pool, table, "again");
    const asked = grant(one, wish);
    await untilBlocked(pool, 1);
    await sleep(400);
    await unlock();
    expect(await asked).toBeGreaterThan(token);
  });

  it("does not cut a lease short that another call renewed meanwhile", async () => {
    const wish = claim("longer", { ttlMs: 60_000 });
    const token = await grant(one, wish);
    const unlock = await lockRow(pool, table, "longer");
    const extended = one.extend([{ ...wish, token, ttlMs: 1_000, longestMs: 60_000 }], call);
    await sleep(50);
    await unlock(`UPDATE ${table} SET expires_at = UTC_TIMESTAMP(6) + INTERVAL 60 SECOND WHERE lock_key = 'longer'`);
    expect(await extended).toEqual([true]);
    const [holder] = await one.inspect("longer", call);
    expect(holder?.remainingMs).toBeGreaterThan(50_000);
  });

  it("gives the whole TTL from when the row was won", async () => {
    await grant(one, claim("whole", { ttlMs: 300 }));
    const unlock = await lockRow(pool, table, "whole");
    const wish = claim("whole", { ttlMs: 5_000 });
    const taken = grant(two, wish);
    await untilBlocked(pool, 1);
    await sleep(300);
    const before = performance.now();
    await unlock();
    await taken;
    const [holder] = await one.inspect("whole", call);
    expect(holder?.owner).toBe(wish.owner);
    expect(holder?.remainingMs).toBeGreaterThan(5_000 - (performance.now() - before) - 20);
  });
});

describe("a row that a transaction of the application holds", () => {
  it("does not keep the other locks of a batch from being renewed or released", async () => {
    const wishes = ["held", "other1", "other2"].map((key) => claim(key, { ttlMs: 2_000 }));
    const tokens: bigint[] = [];
    for (const wish of wishes) tokens.push(await grant(one, wish));
    const unlock = await lockRow(pool, table, "held");
    const timeoutMs = 1_000;
    const claims = wishes.map((wish, i) => ({ ...wish, token: tokens[i] as bigint, ttlMs: 30_000, longestMs: 30_000 }));
    const [held, ...others] = await one.extend(claims, { timeoutMs });
    expect(others).toEqual([true, true]);
    expect(held).toMatchObject({ applied: "no", retryable: true });
    const [stillHeld, ...released] = await one.release(claims, { timeoutMs });
    expect(released).toEqual([true, true]);
    expect(stillHeld).toMatchObject({ applied: "no", retryable: true });
    await unlock();
    expect(await one.extend(claims, call)).toEqual([true, false, false]);
    expect(await one.release(claims, call)).toEqual([true, false, false]);
  });

  it("does not keep the other keys of a batch from being granted, and is not taken for contention", async () => {
    await freeRow("tx");
    const unlock = await lockRow(pool, table, "tx");
    const [blocked, free] = await one.acquire([claim("tx"), claim("not-tx")], call);
    expect(free).toMatchObject({ acquired: true });
    expect(blocked).toMatchObject({ dlockDriverError: true, applied: "no", retryable: true });
    const lone = await failure(one.acquire([claim("tx")], { timeoutMs: 3_000 }));
    expect(lone).toMatchObject({ applied: "no", retryable: true });
    await unlock();
    expect(await tryOne(one, claim("tx"))).toMatchObject({ acquired: true });
  });

  it("is left alone by a sweep, which removes the others", async () => {
    await freeRow("swept-not");
    for (const key of ["swept1", "swept2"]) await freeRow(key);
    const unlock = await lockRow(pool, table, "swept-not");
    expect(await two.sweep(call)).toBeGreaterThanOrEqual(2);
    expect(await cell(pool, `SELECT COUNT(*) FROM ${table} WHERE lock_key IN ('swept1', 'swept2', 'swept-not')`)).toBe(1);
    await unlock();
  });
});

describe("a sweep that cannot raise the floor", () => {
  it("leaves the rows for the next one", async () => {
    const wish = claim("floor-held");
    const token = await grant(one, wish);
    await pool.query(`UPDATE ${table} SET token = ${token + 9_000_000_000n}, expires_at = '1970-01-01' WHERE lock_key = 'floor-held'`);
    const connection = await pool.getConnection();
    await connection.query("BEGIN");
    await connection.query(`SELECT * FROM ${table}_floor LOCK IN SHARE MODE`);
    expect(await two.sweep(call)).toBe(0);
    await connection.query("COMMIT");
    connection.release();
    expect(await two.sweep(call)).toBeGreaterThan(0);
    expect(await cell(pool, `SELECT COUNT(*) FROM ${table} WHERE lock_key = 'floor-held'`)).toBe(0);
  });
});

describe("many clients at once", () => {
  it("sees no error and no double grant in a storm of 16 clients with overlapping batches of 64 keys", { timeout: 60_000 }, async () => {
    const until = performance.now() + 5_000;
    const holders = new Map<string, { owners: Set<string>; mode: string }>();
    const lastToken = new Map<string, bigint>();
    let grants = 0;
    let rounds = 0;
    const storm = async (driver: LockDriver) => {
      while (performance.now() < until) {
        const mode = Math.random() < 0.2 ? "shared" : "exclusive";
        const start = Math.floor(Math.random() * 100);
        const keys = Array.from({ length: 64 }, (_, i) => `storm${(start + i * 3) % 150}`).sort(() => Math.random() - 0.5);
        const wishes: AcquireClaim[] = [...new Set(keys)].map((key) => claim(key, { mode, ...(mode === "shared" ? { limit: 2 } : {}) }));
        const results = await driver.acquire(wishes, { timeoutMs: 20_000 });
        const won: { wish: AcquireClaim; token: bigint }[] = [];
        for (const [i, result] of results.entries()) {
          assert(!isDriverError(result), result as Error);
          const wish = wishes[i] as AcquireClaim;
          if (!result.acquired) continue;
          won.push({ wish, token: result.token });
          const now = holders.get(wish.key) ?? { owners: new Set(), mode };
          assert(
            now.owners.size === 0 || (now.mode === "shared" && mode === "shared" && now.owners.size < 2),
            `${wish.key} was granted twice`,
          );
          holders.set(wish.key, { owners: now.owners.add(wish.owner), mode });
          if (mode === "exclusive") {
            assert(result.token > (lastToken.get(wish.key) ?? 0n), `the token of ${wish.key} did not grow`);
            lastToken.set(wish.key, result.token);
          }
        }
        grants += won.length;
        const extended = await driver.extend(
          won.map(({ wish, token }) => ({ ...wish, token, longestMs: 10_000 })),
          { timeoutMs: 20_000 },
        );
        expect(extended).toEqual(won.map(() => true));
        for (const { wish } of won) holders.get(wish.key)?.owners.delete(wish.owner);
        const released = await driver.release(
          won.map(({ wish, token }) => ({ ...wish, token })),
          { timeoutMs: 20_000 },
        );
        expect(released).toEqual(won.map(() => true));
        if (++rounds % 10 === 0) await driver.sweep(call);
      }
    };
    await Promise.all(Array.from({ length: 16 }, () => storm(client())));
    expect(grants).toBeGreaterThan(1_000);
  });
});

describe("a shared claim on a key whose lease has ended", () => {
  it("is granted however many sweeps come between its statements", async () => {
    const sweeper = client();
    let done = false;
    const sweeping = (async () => {
      while (!done) await sweeper.sweep(call);
    })();
    const round = async (key: string) => {
      await grant(one, claim(key, { ttlMs: 50 }));
      await expect.poll(() => two.inspect(key, call), { interval: 2 }).toEqual([]);
      expect(await tryOne(two, claim(key, { mode: "shared" }))).toMatchObject({ acquired: true });
    };
    try {
      for (let at = 0; at < 100; at += 5) await Promise.all([0, 1, 2, 3, 4].map((more) => round(`swept ${at + more}`)));
    } finally {
      done = true;
      await sweeping;
    }
  });
});
