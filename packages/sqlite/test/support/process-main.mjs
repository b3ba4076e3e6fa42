// The other end of process.ts: answers calls with a driver on the file that the first argument names.
import { openSync, readSync, writeSync } from "node:fs";
import Database from "better-sqlite3";
import { sqliteDriver } from "../../dist/index.js";

const path = process.argv[2];
const driver = sqliteDriver(path);
const timeoutMs = 10_000;
let writer;

const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function acquire(key, owner, ttlMs) {
  const [result] = await driver.acquire([{ key, owner, ttlMs, mode: "exclusive" }], { timeoutMs });
  if (result instanceof Error) throw result;
  return result;
}

async function release(key, owner, token) {
  const [result] = await driver.release([{ key, owner, token }], { timeoutMs });
  if (result instanceof Error) throw result;
  return result;
}

/** Tries until granted: after each wake, and every 20 ms in case one is missed. */
async function lock(key, owner, ttlMs) {
  let result = await acquire(key, owner, ttlMs);
  if (result.acquired) return result;
  let woken = () => {};
  const stop = await driver.watch({ key, owner }, () => woken());
  try {
    while (!result.acquired) {
      const wake = new Promise((resolve) => {
        woken = resolve;
      });
      result = await acquire(key, owner, ttlMs);
      if (!result.acquired) await Promise.race([wake, later(20)]);
    }
    return result;
  } finally {
    stop();
  }
}

const calls = {
  acquire,
  release,
  lock,
  /** Gives up the rights of root, after everything is loaded. */
  becomeNobody() {
    process.setgroups([]);
    process.setgid(65_534);
    process.setuid(65_534);
  },
  ping: () => driver.ping({ timeoutMs }),
  clocks: () => ({ wall: Date.now(), monotonic: process.hrtime.bigint() }),

  /** Takes the file's write lock with a connection of its own and keeps it. */
  startWriting() {
    writer = new Database(path);
    writer.exec("BEGIN IMMEDIATE");
  },

  stopWriting() {
    writer.exec("COMMIT");
    writer.close();
  },

  /** Reads the number in a file, adds one and writes it back, under the lock, until it is `total`. Returns how often this process did. */
  async increment(file, total) {
    const fd = openSync(file, "r+");
    const number = new BigInt64Array(1);
    for (let count = 0; ; count += 1) {
      const owner = `${process.pid}:${count}`;
      const { token } = await lock("counter", owner, 60_000);
      readSync(fd, number, 0, 8, 0);
      const done = number[0] >= BigInt(total);
      if (!done) {
        number[0] += 1n;
        writeSync(fd, number, 0, 8, 0);
      }
      await release("counter", owner, token);
      if (done) return count;
    }
  },

  /** Acquires and releases without end; says so once it has begun. */
  churn(keys) {
    const forever = async (key) => {
      for (let round = 0; ; round += 1) {
        const owner = `${process.pid}:${round}`;
        const { token } = await lock(key, owner, 300);
        await release(key, owner, token);
      }
    };
    for (const key of keys) void forever(key);
  },
};

process.on("message", async ({ id, name, args }) => {
  try {
    process.send({ id, value: await calls[name](...args) });
  } catch (error) {
    process.send({ id, error: String(error?.stack ?? error) });
  }
});
process.on("disconnect", () => process.exit());
process.send("ready");
