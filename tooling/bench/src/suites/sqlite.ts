/** One file: dlock against the best hand-written transactions, and the hand-over between two processes against polling. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLockProvider } from "@dlock/core";
import { sqliteDriver } from "@dlock/sqlite";
import Database from "better-sqlite3";
import type { Contest, Contestant, Size } from "../contest.js";
import { contestant } from "../locker.js";
import { dlockOnSqlite, lockfile, sqlitePoll } from "../lockers/sqlite.js";
import { crowd, handOver } from "../processes.js";
import { rounds } from "../work.js";

export async function* sqliteContests({ forMs }: Size): AsyncIterable<Contest> {
  const folder = mkdtempSync(join(tmpdir(), "dlock-bench-"));
  const keyOf = (unit: number) => `key ${unit % 64}`;
  const files = (name: string, tasks: number, keyOf: (unit: number) => string) =>
    contestant(lockfile, join(folder, `files-${name}`), { tasks, forMs, keyOf });
  try {
    yield {
      title: "sqlite FULL, distinct keys, 1 at once",
      unit: "cycles/s",
      better: "more",
      contestants: async () => [floor(folder, "one", forMs), dlock(folder, "one", forMs, 1, keyOf), await files("one", 1, keyOf)],
      targets: [{ name: "dlock", atLeast: 0.85 }],
    };
    yield {
      title: "sqlite FULL, 64 keys at once",
      unit: "cycles/s",
      better: "more",
      contestants: async () => [floor(folder, "many", forMs), dlock(folder, "many", forMs, 64, keyOf), await files("many", 64, keyOf)],
      targets: [{ name: "dlock", atLeast: 5 }],
    };
    yield {
      title: "sqlite FULL, 16 waiters on one key in one process",
      unit: "sections/s",
      better: "more",
      contestants: async () => [
        floor(folder, "same", forMs),
        dlock(folder, "same", forMs, 16, () => "key"),
        await files("same", 16, () => "key"),
      ],
      targets: [{ name: "dlock", atLeast: 10 }],
    };
    yield {
      title: "sqlite, hand-over between two processes, p50",
      unit: "ms",
      better: "less",
      contestants: async () => [
        await handOver("sqlite", sqlitePoll, join(folder, "hand-over-poll.db"), 2 * forMs),
        await handOver("sqlite", dlockOnSqlite, join(folder, "hand-over.db"), 2 * forMs),
        await handOver("sqlite", lockfile, join(folder, "hand-over-files"), 2 * forMs),
      ],
      targets: [{ name: "dlock", atMost: 0.1 }],
      absent: handWritten,
    };
    const work = { count: 4, waiters: 16, forMs: 2 * forMs };
    yield {
      title: "sqlite, one key, 4 processes × 16 waiters",
      unit: "sections/s",
      better: "more",
      contestants: async () => [
        await crowd("sqlite", sqlitePoll, join(folder, "crowd-poll.db"), work),
        await crowd("sqlite", dlockOnSqlite, join(folder, "crowd.db"), work),
        await crowd("sqlite", lockfile, join(folder, "crowd-files"), work),
      ],
      absent: handWritten,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const handWritten = { "hand-written better-sqlite3": "does not wait" };

/** What a careful hand would write: a row for a key, one transaction to take it and one to free it, durable, prepared. */
function floor(folder: string, name: string, forMs: number): Contestant {
  const database = new Database(join(folder, `floor-${name}.db`));
  database.pragma("journal_mode = WAL");
  database.pragma("synchronous = FULL");
  database.exec(
    "CREATE TABLE locks (key TEXT PRIMARY KEY, owner TEXT NOT NULL, token INTEGER NOT NULL, until INTEGER NOT NULL) WITHOUT ROWID",
  );
  database.exec("CREATE TABLE counter (token INTEGER NOT NULL)");
  database.exec("INSERT INTO counter VALUES (0)");
  const read = database.prepare("SELECT until FROM locks WHERE key = ?");
  const count = database.prepare("UPDATE counter SET token = token + 1 RETURNING token");
  const write = database.prepare("INSERT OR REPLACE INTO locks VALUES (?, ?, ?, ?)");
  const remove = database.prepare("DELETE FROM locks WHERE key = ? AND owner = ? AND token = ?");
  const acquire = database.transaction((key: string, owner: string, now: number) => {
    const row = read.get(key) as { until: number } | undefined;
    if (row !== undefined && row.until > now) throw new Error("held");
    const { token } = count.get() as { token: number };
    write.run(key, owner, token, now + 30_000);
    return token;
  });
  const release = database.transaction((key: string, owner: string, token: number) => {
    if (remove.run(key, owner, token).changes !== 1) throw new Error("not held");
  });
  const run = async (unit: number) => {
    const key = `key ${unit % 64}`;
    const owner = `owner ${unit}`;
    release.immediate(key, owner, acquire.immediate(key, owner, performance.now() | 0));
  };
  return {
    name: "hand-written better-sqlite3, one after another",
    ...rounds({ tasks: 1, forMs }, run),
    close: () => {
      database.close();
    },
  };
}

function dlock(folder: string, name: string, forMs: number, concurrency: number, keyOf: (unit: number) => string): Contestant {
  const locks = createLockProvider(sqliteDriver(join(folder, `dlock-${name}.db`)), { sweepIntervalMs: 0 });
  const run = async (unit: number) => {
    const lock = await locks.lock(keyOf(unit));
    await lock.unlock();
  };
  return {
    name: "dlock",
    ...rounds({ tasks: concurrency, forMs }, run),
    close: () => locks.close(),
  };
}
