/** The engine over this driver: what only shows when batches, renewal and waiting work together. */
import { type AcquireClaim, createLockProvider } from "@dlock/core";
import { createPool, type Pool } from "mysql2";
import { afterAll, describe, expect, it } from "vitest";
import { type MysqlPool, mysqlDriver } from "../src/index.ts";
import { call, cell, claim, eventually, grant, newTable, observer, ownServer, tryOne } from "./servers.ts";

const server = await ownServer();
const outside = observer(server.url);

/** A pool that counts the statements sent through it. */
function countingPool(): { pool: MysqlPool; real: Pool; statements: string[] } {
  const real = createPool({ uri: server.url });
  const statements: string[] = [];
  const pool: MysqlPool = {
    config: { connectionLimit: 10 },
    getConnection(callback) {
      real.getConnection((error, connection) => {
        if (error) {
          callback(error, undefined as never);
          return;
        }
        for (const method of ["query", "execute"] as const) {
          const send = connection[method].bind(connection) as (...args: unknown[]) => unknown;
          Object.assign(connection, {
            [method](options: { sql: string }, done: unknown) {
              statements.push(options.sql);
              return send(options, done);
            },
          });
        }
        callback(null, connection as never);
      });
    },
  };
  return { pool, real, statements };
}

describe("a provider", () => {
  it("renews 10,000 held locks with at most 20 statements", { timeout: 60_000 }, async () => {
    const { pool, real, statements } = countingPool();
    afterAll(() => new Promise<void>((resolve) => void real.end(() => resolve())));
    const driver = mysqlDriver({ pool, table: newTable() });
    const claims = Array.from({ length: 10_000 }, (_, i) => claim(`held${i}`, { ttlMs: 60_000 }));
    const held = [];
    for (let i = 0; i < claims.length; i += driver.capabilities.maxBatch) {
      const batch = claims.slice(i, i + driver.capabilities.maxBatch);
      for (const [j, result] of (await driver.acquire(batch, { timeoutMs: 30_000 })).entries()) {
        held.push({ ...batch[j]!, token: (result as { token: bigint }).token, longestMs: 60_000 });
      }
    }
    statements.length = 0;
    for (let i = 0; i < held.length; i += driver.capabilities.maxBatch) {
      const verdicts = await driver.extend(held.slice(i, i + driver.capabilities.maxBatch), { timeoutMs: 30_000 });
      expect(verdicts.every((verdict) => verdict === true)).toBe(true);
    }
    expect(statements.length).toBeLessThanOrEqual(20);
    await driver.close();
  });

  it("acquires and releases any number of locks with one statement each", async () => {
    const { pool, real, statements } = countingPool();
    afterAll(() => new Promise<void>((resolve) => void real.end(() => resolve())));
    const driver = mysqlDriver({ pool, table: newTable() });
    await driver.ping(call);
    statements.length = 0;
    // New rows, and rows that are there.
    for (const count of [1, 1, 5, 64, 64]) {
      const wishes = Array.from({ length: count }, (_, i) => claim(`one ${i}`));
      const results = await driver.acquire(wishes, call);
      expect(statements.splice(0)).toHaveLength(1);
      const held = wishes.map((wish, i) => ({ ...wish, token: (results[i] as { token: bigint }).token }));
      for (const { key, token } of held.slice(0, 3)) expect(await driver.inspect(key, call)).toMatchObject([{ token }]);
      statements.length = 0;
      expect(await driver.release(held, call)).toEqual(wishes.map(() => true));
      expect(statements.splice(0)).toHaveLength(1);
    }
    await driver.close();
  });

  it("tells each claim of a batch its own verdict and token when they differ", async () => {
    const table = newTable();
    const driver = mysqlDriver({ url: server.url, table });
    const wishes = ["a", "b", "c", "d"].map((key) => claim(key));
    const first = { ...(wishes[1] as AcquireClaim), owner: "first" };
    await driver.release([{ ...first, token: await grant(driver, first) }], call);
    // A token of a time to come, as after the server's clock was put back: each grant adds one.
    await outside.query(`UPDATE ${table} SET token = token + 3600000000`);
    for (const refused of wishes) {
      const holder = { ...refused, owner: "holder" };
      const token = await grant(driver, holder);
      const results = await driver.acquire(wishes, call);
      expect(results).toMatchObject(
        wishes.map((wish) => (wish === refused ? { acquired: false, holder: { owner: "holder", token } } : { acquired: true })),
      );
      const held = wishes.map((wish, i) => ({ ...wish, token: (results[i] as { token?: bigint }).token ?? 1n }));
      for (const { key, owner, token } of held) {
        if (key !== refused.key) expect(await driver.inspect(key, call)).toMatchObject([{ owner, token }]);
      }
      expect(await driver.release(held, call)).toEqual(wishes.map((wish) => wish !== refused));
      expect(await driver.release([{ ...holder, token }], call)).toEqual([true]);
    }
    await driver.close();
  });

  it("hands a lock from process to process, each section alone and with a greater token", { timeout: 60_000 }, async () => {
    const table = newTable();
    const providers = Array.from({ length: 4 }, () => createLockProvider(mysqlDriver({ url: server.url, table }), { ttlMs: 5_000 }));
    let inside = 0;
    let last = 0n;
    let sections = 0;
    await Promise.all(
      providers.map(async (locks) => {
        for (let i = 0; i < 15; i++) {
          await locks.withLock("shared-key", { waitMs: 30_000 }, async (lock) => {
            expect(++inside).toBe(1);
            expect(lock.token).toBeGreaterThan(last);
            last = lock.token;
            await new Promise((resolve) => setImmediate(resolve));
            sections++;
            inside--;
          });
        }
      }),
    );
    expect(sections).toBe(60);
    await Promise.all(providers.map((locks) => locks.close()));
  });

  it("tells the holder that the table was dropped at the next renewal", async () => {
    const table = newTable();
    const locks = createLockProvider(mysqlDriver({ url: server.url, table }), { ttlMs: 3_000 });
    const lock = await locks.lock("dropped");
    const lost = new Promise<unknown>((resolve) => lock.signal.addEventListener("abort", () => resolve(lock.signal.reason)));
    await outside.query(`DROP TABLE ${table}`);
    expect(await lost).toMatchObject({ code: "DLOCK_LOST", reason: "refused" });
    await locks.close();
  });

  it("gives a lock whose answer came while the process was busy for longer than an attempt may take", async () => {
    const locks = createLockProvider(mysqlDriver({ url: server.url, table: newTable() }), { attemptTimeoutMs: 200 });
    // The connection is there, and the statement prepared.
    await (await locks.lock("warm")).unlock();
    const locking = locks.tryLock("busy");
    await new Promise((resolve) => setImmediate(resolve));
    const until = performance.now() + 600;
    while (performance.now() < until);
    const lock = await locking;
    expect(lock?.isHeld).toBe(true);
    expect(await locks.inspect("busy")).toMatchObject([{ token: lock?.token }]);
    await locks.close();
  });

  it("leaves no lock behind when it is closed, and no lease to wait for", async () => {
    const table = newTable();
    const locks = createLockProvider(mysqlDriver({ url: server.url, table }), { ttlMs: 60_000 });
    for (const key of ["a", "b", "c"]) await locks.lock(key);
    await locks.lock("d", { mode: "shared", limit: 2 });
    await locks.close();
    const driver = mysqlDriver({ url: server.url, table });
    for (const key of ["a", "b", "c", "d"]) expect(await tryOne(driver, claim(key))).toMatchObject({ acquired: true });
    await driver.close();
  });
});

describe("rows", () => {
  it("stay as few as the live locks, whatever the number of keys that were ever used", async () => {
    const table = newTable();
    const driver = mysqlDriver({ url: server.url, table });
    for (let round = 0; round < 3; round++) {
      const wishes = Array.from({ length: 500 }, (_, i) => claim(`execution${round}-${i}`));
      await driver.acquire(wishes, call);
      await driver.release(wishes, call);
      await driver.sweep(call);
    }
    expect(await cell(outside, `SELECT COUNT(*) FROM ${table}`)).toBe(0);
    // Shared: as many rows as there were holders at a time, not in all.
    for (let i = 0; i < 50; i++) {
      const wish = claim("readers", { mode: "shared" });
      await grant(driver, wish);
      await driver.release([wish], call);
    }
    expect(await cell(outside, `SELECT COUNT(*) FROM ${table}_shared`)).toBe(1);
    await eventually("an empty table", async () => (await driver.sweep(call)) === 0);
    expect(await cell(outside, `SELECT COUNT(*) FROM ${table}_shared`)).toBe(0);
    await driver.close();
  });
});
