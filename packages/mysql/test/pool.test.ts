/** The application's pool: what it does there neither delays nor changes a lock, and the driver takes no more than its share. */
import { setTimeout as sleep } from "node:timers/promises";
import { createPool } from "mysql2";
import mysql, { type Pool } from "mysql2/promise";
import { afterEach, describe, expect, it } from "vitest";
import { mysqlDriver } from "../src/index.ts";
import { call, cell, claim, eventually, failure, grant, newTable, observer, serverUrl, tryOne } from "./servers.ts";

const url = await serverUrl();
const outside = observer(url);
const table = newTable();

const pools: Pool[] = [];
afterEach(() => Promise.all(pools.splice(0).map((pool) => pool.end())));

function applicationPool(connectionLimit: number): Pool {
  const pool = mysql.createPool({ uri: url, connectionLimit });
  pools.push(pool);
  return pool;
}

describe("a pool whose connections the application holds", () => {
  it("ends a call at its deadline, and says that nothing was applied", async () => {
    const pool = applicationPool(2);
    const taken = [await pool.getConnection(), await pool.getConnection()];
    const driver = mysqlDriver({ pool, table });
    // While they are still taken: nothing but the deadline can end it.
    const error = await failure(driver.acquire([claim("none")], { timeoutMs: 300 }));
    expect(error).toMatchObject({ applied: "no", retryable: true });
    // What was left of the call when it began to wait for one.
    expect(error.message).toMatch(/^no connection was free within \d+ ms$/);
    for (const connection of taken) connection.release();
    expect(await tryOne(driver, claim("none"))).toMatchObject({ acquired: true });
    await driver.close();
  });

  it("does not delay renewals once the driver has its connection", async () => {
    const pool = applicationPool(3);
    const driver = mysqlDriver({ pool, table });
    const wish = claim("renewed");
    const token = await grant(driver, wish);
    const taken = [await pool.getConnection(), await pool.getConnection()];
    const waiting = pool.getConnection();
    expect(await driver.extend([{ ...wish, token, longestMs: 10_000 }], { timeoutMs: 1_000 })).toEqual([true]);
    for (const connection of taken) connection.release();
    (await waiting).release();
    await driver.close();
  });

  it("gives the only connection of a pool of one back after each burst", async () => {
    const pool = applicationPool(1);
    const driver = mysqlDriver({ pool, table });
    await grant(driver, claim("only1"));
    expect(await cell(pool, "SELECT 1")).toBe(1);
    await grant(driver, claim("only2"));
    await driver.close();
  });

  it("leaves the application at least half of its connections", async () => {
    const pool = applicationPool(4);
    const driver = mysqlDriver({ pool, table });
    await Promise.all(Array.from({ length: 20 }, (_, i) => tryOne(driver, claim(`half${i}`))));
    const taken = [await pool.getConnection(), await pool.getConnection()];
    for (const connection of taken) connection.release();
    await driver.close();
  });

  it("has all its connections again when the driver is closed", async () => {
    const pool = applicationPool(2);
    const driver = mysqlDriver({ pool, table });
    await grant(driver, claim("again"));
    await driver.close();
    const taken = await Promise.all([pool.getConnection(), pool.getConnection()]);
    for (const connection of taken) connection.release();
  });
});

describe("a transaction that the application left open on a pooled connection", () => {
  it("never contains a lock", async () => {
    const pool = applicationPool(2);
    await outside.query("CREATE TABLE IF NOT EXISTS orders (id INT PRIMARY KEY)");
    const left = await pool.getConnection();
    await left.query("BEGIN");
    await left.query("INSERT INTO orders VALUES (1)");
    left.release();
    const driver = mysqlDriver({ pool, table });
    const wish = claim("left-open");
    await grant(driver, wish);
    expect(await cell(outside, `SELECT COUNT(*) FROM ${table} WHERE lock_key = 'left-open'`)).toBe(1);
    // What was never committed is rolled back, not committed by us.
    expect(await cell(outside, "SELECT COUNT(*) FROM orders")).toBe(0);
    await driver.close();
  });

  it("neither sees nor gets session settings of the driver", async () => {
    const pool = applicationPool(4);
    const before = await cell(pool, "SELECT CONCAT(@@session.time_zone, @@session.sql_mode, @@session.innodb_lock_wait_timeout)");
    const driver = mysqlDriver({ pool, table });
    await grant(driver, claim("settings"));
    for (let i = 0; i < 4; i++) {
      expect(await cell(pool, "SELECT CONCAT(@@session.time_zone, @@session.sql_mode, @@session.innodb_lock_wait_timeout)")).toBe(before);
    }
    await driver.close();
    expect(await cell(pool, "SELECT CONCAT(@@session.time_zone, @@session.sql_mode, @@session.innodb_lock_wait_timeout)")).toBe(before);
  });
});

describe("the order of the calls of one driver", () => {
  it("lets renewals past acquisitions that wait for a row", async () => {
    const pool = applicationPool(4);
    const driver = mysqlDriver({ pool, table });
    const wish = claim("first");
    const token = await grant(driver, wish);
    const blocked = claim("blocked");
    await driver.release([{ ...blocked, token: await grant(driver, blocked) }], call);
    const holder = await outside.getConnection();
    await holder.query("BEGIN");
    await holder.query(`SELECT * FROM ${table} WHERE lock_key = 'blocked' FOR UPDATE`);
    const waiting = Array.from({ length: 8 }, () => driver.acquire([claim("blocked")], { timeoutMs: 900 }));
    await sleep(50);
    expect(await driver.extend([{ ...wish, token, longestMs: 10_000 }], { timeoutMs: 500 })).toEqual([true]);
    await Promise.all(waiting);
    await holder.query("ROLLBACK");
    holder.release();
    await driver.close();
  });
});

describe("connections", () => {
  it("accepts a pool of mysql2 without promises", async () => {
    const pool = createPool({ uri: url });
    const driver = mysqlDriver({ pool, table });
    expect(await tryOne(driver, claim("callbacks"))).toMatchObject({ acquired: true });
    await driver.close();
    await new Promise<void>((resolve) => void pool.end(() => resolve()));
  });

  it("are few, whatever the number of calls, and none is left after close", async () => {
    const name = newTable();
    const driver = mysqlDriver({ url, table: name });
    const ours = `SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID()`;
    const others = Number(await cell(outside, ours));
    await Promise.all(Array.from({ length: 100 }, (_, i) => tryOne(driver, claim(`many${i}`))));
    expect(Number(await cell(outside, ours)) - others).toBeLessThanOrEqual(4);
    await driver.close();
    await eventually("no connection left", async () => Number(await cell(outside, ours)) <= others);
  });

  it("refuses calls after close, without a connection", async () => {
    const driver = mysqlDriver({ url, table });
    await driver.close();
    await driver.close();
    const error = await failure(driver.acquire([claim("closed")], call));
    expect(error).toMatchObject({ applied: "no", retryable: false, message: "the driver was closed" });
  });
});
