/** Ways to hold a key in MySQL or MariaDB: a row put and deleted by hand, dlock, GET_LOCK and Verrou on Knex. */
import { randomBytes } from "node:crypto";
import { createLockProvider } from "@dlock/core";
import { mysqlDriver } from "@dlock/mysql";
import type { ResultSetHeader } from "mysql2/promise";
import mysql from "mysql2/promise";
import type { Recipe } from "../locker.js";

const ttlMs = 30_000;
/** Verrou polls: far more often than by default; chosen, not searched for. */
const pollMs = 5;
const connections = 16;

export const rowByHand: Recipe = {
  name: "mysql2, INSERT IGNORE and DELETE by hand",
  settings: `autocommit, prepared statements, a pool of ${connections}; no waiting: for distinct keys only`,
  async open(url) {
    const pool = mysql.createPool({ uri: url, connectionLimit: connections });
    await pool.query(
      "CREATE TABLE IF NOT EXISTS floor_locks (lock_key VARBINARY(255) PRIMARY KEY, owner VARBINARY(64) NOT NULL, expires_at DATETIME(3) NOT NULL)",
    );
    return {
      async hold(key, section) {
        const owner = randomBytes(16).toString("hex");
        const [put] = await pool.execute<ResultSetHeader>(
          "INSERT IGNORE INTO floor_locks VALUES (?, ?, UTC_TIMESTAMP(3) + INTERVAL 30 SECOND)",
          [key, owner],
        );
        if (put.affectedRows !== 1) throw new Error(`${key} is held`);
        await section();
        const [gone] = await pool.execute<ResultSetHeader>("DELETE FROM floor_locks WHERE lock_key = ? AND owner = ?", [key, owner]);
        if (gone.affectedRows !== 1) throw new Error(`${key} was lost`);
      },
      close: () => pool.end(),
    };
  },
};

export const dlockOnMysql: Recipe = {
  name: "dlock",
  settings: "defaults: at most 4 connections",
  async open(url) {
    const locks = createLockProvider(mysqlDriver({ url }), { ttlMs, waitMs: 120_000 });
    return {
      async hold(key, section) {
        const lock = await locks.lock(key);
        await section();
        await lock.unlock();
      },
      close: () => locks.close(),
    };
  },
};

export const getLock: Recipe = {
  name: "mysql2, GET_LOCK",
  settings: `a pool of ${connections}; each holder and each waiter keeps a connection; ends with it, no TTL, no token`,
  async open(url) {
    const pool = mysql.createPool({ uri: url, connectionLimit: connections });
    return {
      async hold(key, section) {
        const connection = await pool.getConnection();
        try {
          await connection.execute("SELECT GET_LOCK(?, 120)", [key]);
          await section();
          await connection.execute("SELECT RELEASE_LOCK(?)", [key]);
        } finally {
          connection.release();
        }
      },
      close: () => pool.end(),
    };
  },
};

export const verrou: Recipe = {
  name: "@verrou/core on Knex",
  settings: `a pool of ${connections}, retry delay ${pollMs}`,
  async open(url) {
    const { LockFactory } = await import("@verrou/core");
    const { knexStore } = await import("@verrou/core/drivers/knex");
    const { default: knex } = await import("knex");
    const connection = knex({ client: "mysql2", connection: url, pool: { min: 0, max: connections } });
    const factory = new LockFactory(knexStore({ connection, tableName: "verrou" }).factory(), { retry: { delay: pollMs } });
    return {
      async hold(key, section) {
        const lock = factory.createLock(key, ttlMs);
        if (!(await lock.acquire())) throw new Error(`${key} is held`);
        await section();
        await lock.release();
      },
      close: () => connection.destroy(),
    };
  },
};

export const mysqlPeers: readonly Recipe[] = [getLock, verrou];
