/** Servers and clients for the tests: DLOCK_TEST_MYSQL_URL names a real one (a scratch one: tables, users and schemas stay behind); else MariaDB is started. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { type AcquireClaim, type AcquireResult, type DriverError, isDriverError, type LockDriver } from "@dlock/core";
import { type MysqlService, startMysql } from "@dlock-tooling/services";
import mysql, { type Pool, type RowDataPacket } from "mysql2/promise";
import { afterAll } from "vitest";

const given = process.env.DLOCK_TEST_MYSQL_URL;

/** The URL of a server that the file shares. Nothing may be done to its process. */
export async function serverUrl(): Promise<string> {
  if (given !== undefined) return given;
  return (await ownServer()).url;
}

/** A server of the test's own, ended after the file. */
export async function ownServer(options: Parameters<typeof startMysql>[0] = {}): Promise<MysqlService> {
  const server = await startMysql(options);
  afterAll(() => server.stop());
  return server;
}

/** A pool that looks at the tables from outside the driver; closed after the file. */
export function observer(url: string, options: mysql.PoolOptions = {}): Pool {
  const pool = mysql.createPool({ uri: url, ...options });
  afterAll(() => pool.end());
  return pool;
}

/** The first cell of the first row. */
export async function cell(pool: { query: Pool["query"] }, sql: string): Promise<unknown> {
  const [rows] = await pool.query<RowDataPacket[]>(sql);
  return Object.values(rows[0] ?? {})[0];
}

let tablesMade = 0;

/** A table name that no other test uses. */
export function newTable(): string {
  return `locks_${process.pid}_${++tablesMade}`;
}

export const call = { timeoutMs: 5_000 };

let ownersMade = 0;

export function claim(key: string, more: Partial<AcquireClaim> = {}): AcquireClaim {
  return { key, owner: `owner-${++ownersMade}`, ttlMs: 10_000, mode: "exclusive", ...more };
}

/** The verdict on one claim that must not fail. */
export async function tryOne(driver: LockDriver, wish: AcquireClaim, timeoutMs = call.timeoutMs): Promise<AcquireResult> {
  const [outcome] = await driver.acquire([wish], { timeoutMs });
  if (outcome === undefined || isDriverError(outcome)) throw outcome;
  return outcome;
}

/** The token of a claim that must be granted. */
export async function grant(driver: LockDriver, wish: AcquireClaim): Promise<bigint> {
  const result = await tryOne(driver, wish);
  assert(result.acquired, `${wish.key} is held by ${result.acquired ? "" : result.holder?.owner}`);
  return result.token;
}

/** The error that the only claim of a batch is answered with. */
export async function failure(answer: Promise<readonly unknown[]>): Promise<DriverError> {
  const [outcome] = await answer;
  assert(isDriverError(outcome), `expected an error, got ${String(outcome)}`);
  return outcome;
}

export async function eventually(what: string, condition: () => Promise<boolean> | boolean, everyMs = 5): Promise<void> {
  const withinMs = 10_000;
  const until = performance.now() + withinMs;
  while (!(await condition())) {
    assert(performance.now() < until, `${what} did not come about within ${withinMs} ms`);
    await sleep(everyMs);
  }
}

/** Waits until so many statements wait for rows. The server counts anew only when nobody has asked for 100 ms. */
export function untilBlocked(pool: Pool, statements: number): Promise<void> {
  return eventually(
    `${statements} blocked statements`,
    async () => {
      return Number(await cell(pool, "SELECT COUNT(*) FROM information_schema.INNODB_TRX WHERE trx_state = 'LOCK WAIT'")) >= statements;
    },
    110,
  );
}

/** Locks the row of a key, as a transaction of an application may; resolves to what ends it, after a statement of its own. */
export async function lockRow(pool: Pool, table: string, key: string): Promise<(last?: string) => Promise<void>> {
  const connection = await pool.getConnection();
  await connection.query("BEGIN");
  await connection.query(`SELECT * FROM ${table} WHERE lock_key = '${key}' FOR UPDATE`);
  return async (last = "DO 0") => {
    await connection.query(last);
    await connection.query("COMMIT");
    connection.release();
  };
}
