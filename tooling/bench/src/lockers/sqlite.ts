/** Ways for two processes to wait for a key in one SQLite file; the URL is the path. */
import { createLockProvider, fixedInterval } from "@dlock/core";
import { sqliteDriver } from "@dlock/sqlite";
import type { Locker, Recipe } from "../locker.js";

const waitMs = 120_000;

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
