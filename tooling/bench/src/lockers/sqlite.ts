/** Ways to wait for a key in one SQLite file, and by lock files; the URL is the path. */
import { createLockProvider, fixedInterval } from "@dlock/core";
import { sqliteDriver } from "@dlock/sqlite";
import { lock } from "proper-lockfile";
import type { Locker, Recipe } from "../locker.js";

const waitMs = 120_000;
/** proper-lockfile polls: far more often than by default. */
const pollMs = 2;

export const dlockOnSqlite: Recipe = {
  name: "dlock",
  settings: "defaults",
  open: async (path) => locker(createLockProvider(sqliteDriver(path), { waitMs })),
};

/** What people write by hand: without its watch, a driver is asked again every 10 ms. */
export const sqlitePoll: Recipe = {
  name: "a 10 ms poll",
  settings: "dlock without its watch",
  async open(path) {
    const driver = sqliteDriver(path);
    const { watch: _, ...unwatched } = driver;
    const polled = { ...unwatched, capabilities: { ...driver.capabilities, watch: false } };
    return locker(createLockProvider(polled, { waitMs, retry: fixedInterval(10) }));
  },
};

/** Another file beside the one that is given stands for each key. */
export const lockfile: Recipe = {
  name: "proper-lockfile",
  settings: `realpath false, retries every ${pollMs} ms; a folder made and removed: not durable, no token`,
  async open(path) {
    const options = { realpath: false, retries: { forever: true, factor: 1, minTimeout: pollMs, maxTimeout: pollMs } };
    return {
      async hold(key, section) {
        const release = await lock(`${path}.${key}`, options);
        await section();
        await release();
      },
      async close() {},
    };
  },
};

function locker(locks: ReturnType<typeof createLockProvider>): Locker {
  return {
    async hold(key, section) {
      const lock = await locks.lock(key);
      await section();
      await lock.unlock();
    },
    close: () => locks.close(),
  };
}
