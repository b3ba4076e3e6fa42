/** What one cycle asks of each server, in the server's own counts: the same on any machine. */

import { createLockProvider, type LockDriver } from "@dlock/core";
import { etcdDriver } from "@dlock/etcd";
import { mysqlDriver } from "@dlock/mysql";
import { redisDriver } from "@dlock/redis";
import { startEtcd, startMysql, startRedis } from "@dlock-tooling/services";
import { Redis } from "ioredis";
import mysql from "mysql2/promise";
import { expect, test } from "vitest";
import { etcdMeter, mysqlMeter, redisMeter } from "../src/meters.ts";
import { type Meter, metered, together } from "../src/work.ts";

const patienceMs = 60_000;
const cycles = 20;

/** Work for one cycle, and for one of 256 at once, after a warm-up that opens connections and makes tables. */
async function measure(driver: LockDriver, meter: Meter, name: string): Promise<{ alone: number; crowded: number }> {
  const locks = createLockProvider(driver, { sweepIntervalMs: 0, ttlMs: 60_000 });
  const cycle = async (unit: number) => {
    const lock = await locks.lock(`key ${unit}`);
    await lock.unlock();
  };
  const difference = async (tasks: number, units: number) => {
    const { counts } = await metered(meter, () => together(tasks, units, cycle));
    return (counts[name] as number) / units;
  };
  try {
    await together(256, 512, cycle);
    await together(1, cycles, cycle);
    return { alone: await difference(1, cycles), crowded: await difference(256, 256) };
  } finally {
    await locks.close();
  }
}

test("a cycle on Redis is two script calls, of seven commands with theirs, and 256 at once share two", {
  timeout: patienceMs,
}, async () => {
  const server = await startRedis();
  const admin = new Redis(server.url);
  try {
    const driver = () => redisDriver({ url: server.url });
    const trips = await measure(driver(), redisMeter(admin, ["evalsha", "eval"]), "commands");
    expect(trips.alone).toBe(2);
    expect(trips.crowded * 256).toBeLessThanOrEqual(4);
    // EVALSHA, TIME, SET of the counter, SET; EVALSHA, GET, DEL: nobody waits, so nobody is told.
    expect((await measure(driver(), redisMeter(admin), "commands")).alone).toBe(7);
  } finally {
    admin.disconnect();
    await server.stop();
  }
});

test("a cycle on MariaDB is two statements, and 256 at once share a few", { timeout: patienceMs }, async () => {
  const server = await startMysql();
  const admin = await mysql.createConnection(server.url);
  try {
    const { alone, crowded } = await measure(mysqlDriver({ url: server.url }), mysqlMeter(admin), "statements");
    expect(alone).toBe(2);
    expect(crowded * 256).toBeLessThanOrEqual(4);
  } finally {
    await admin.end();
    await server.stop();
  }
});

test("a cycle on etcd is two messages, and 256 at once share a few", { timeout: patienceMs }, async () => {
  const server = await startEtcd();
  try {
    const { alone, crowded } = await measure(etcdDriver({ connection: { hosts: [server.url] } }), etcdMeter(server.url), "messages");
    expect(alone).toBe(2);
    // One Txn carries 120 keys at most.
    expect(crowded * 256).toBeLessThanOrEqual(10);
  } finally {
    await server.stop();
  }
});
