/** Servers and clients for the tests: DLOCK_TEST_MYSQL_URL names a real one (the user needs all rights); else MariaDB is started. */
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
