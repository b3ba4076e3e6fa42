/** The guard in the user's own transactions: who was overtaken writes nothing, and each way to use it wrongly is refused. */
import { createLockProvider, type Lock, LockLostError, LockNotHeldError, type LockProvider, systemClock } from "@dlock/core";
import Database from "better-sqlite3";
import { describe, expect, onTestFinished, test } from "vitest";
import { sqliteDriver, sqliteGuard } from "../src/index.ts";
import { temporaryFile } from "./support/files.ts";

function open(path: string, options: Parameters<typeof createLockProvider>[1] = {}): LockProvider {
  const locks = createLockProvider(sqliteDriver(path), options);
  onTestFinished(() => locks.close());
  return locks;
}

/** The application's side of one process: a connection of its own to the file, with a table and a guarded write. */
function application(path: string) {
  const database = new Database(path);
  onTestFinished(() => void database.close());
  database.pragma("journal_mode = WAL");
  database.exec("CREATE TABLE IF NOT EXISTS balance (id INTEGER PRIMARY KEY, amount INTEGER, by TEXT)");
  const guard = sqliteGuard(database);
  const put = database.prepare("INSERT OR REPLACE INTO balance VALUES (1, ?, ?)");
  const write = (lock: Lock, amount: number, by: string) =>
    database
      .transaction(() => {
        put.run(amount, by);
        guard(lock);
      })
      .immediate();
  const read = () => database.prepare("SELECT amount, by FROM balance").all();
  return { database, guard, write, read };
}

/** A clock that has stopped, as a suspended machine's: its locks look held for ever. */
const stoppedClock = { ...systemClock, now: () => 0 };

describe("a guarded transaction", () => {
  test("of the holder commits, in every hold of the lock and after a hand-off", async () => {
    const path = temporaryFile();
    const locks = open(path);
    const { write, read } = application(path);
    const take = (amount: number) => locks.withLock("account", (lock) => write(lock, amount, `token ${lock.token}`));
    await Promise.all([take(1), take(2), take(3)]);
    expect(read()).toMatchObject([{ amount: 3 }]);
    await locks.withLock("mine", { owner: "me" }, (lock) => write(lock, 4, "me"));
    await locks.withLock("account", (outer) =>
      locks.withLock("account", { reentrant: true }, (inner) => {
        write(inner, 5, "inner");
        write(outer, 6, "outer");
      }),
    );
    expect(read()).toEqual([{ amount: 6, by: "outer" }]);
  });

  test("of a stale holder is refused and rolled back, while its successor's commits", async () => {
    const path = temporaryFile();
    const stale = await open(path, { ttlMs: 50, clock: stoppedClock, sweepIntervalMs: 0 }).lock("account");
    const mine = application(path);
    mine.write(stale, 1, "stale, in time");
    const theirs = application(path);
    await open(path).withLock("account", (successor) => {
      expect(stale.isHeld).toBe(true); // So it believes.
      const late = () => mine.write(stale, 2, "stale, too late");
      expect(late).toThrow(LockLostError);
      expect(late).toThrow(expect.objectContaining({ key: "account", reason: "fenced" }));
      expect(mine.database.inTransaction).toBe(false);
      expect(theirs.read()).toEqual([{ amount: 1, by: "stale, in time" }]);
      theirs.write(successor, 3, "successor");
      expect(late).toThrow(LockLostError);
    });
    expect(() => mine.write(stale, 4, "stale, after the successor")).toThrow(LockLostError);
    expect(mine.read()).toEqual([{ amount: 3, by: "successor" }]);
  });

  test("is refused as soon as the lease is over, though nobody has taken the key", async () => {
    const path = temporaryFile();
    const lock = await open(path, { ttlMs: 50, clock: stoppedClock, sweepIntervalMs: 0 }).lock("account");
    const { write, read } = application(path);
    const other = open(path);
    while (await other.isLocked("account")) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(lock.isHeld).toBe(true);
    expect(() => write(lock, 1, "late")).toThrow(LockLostError);
    expect(read()).toEqual([]);
  });

  test("is refused when the key is locked again by the same owner: the token decides", async () => {
    const path = temporaryFile();
    const first = await open(path, { sweepIntervalMs: 0 }).lock("account", { owner: "me" });
    const { database, write } = application(path);
    database.prepare("DELETE FROM dlock_leases").run();
    const second = await open(path).lock("account", { owner: "me" });
    expect(() => write(first, 1, "first")).toThrow(LockLostError);
    write(second, 2, "second");
  });

  test("keeps the successor out until it has committed, though the lease ends meanwhile", async () => {
    const path = temporaryFile();
    const lock = await open(path, { ttlMs: 50, clock: stoppedClock, sweepIntervalMs: 0 }).lock("account");
    const { database, guard, read } = application(path);
    database.exec("BEGIN"); // Not even immediate.
    guard(lock);
    database.exec("INSERT INTO balance VALUES (1, 7, 'slow')");
    let granted = false;
    const waiting = open(path).withLock("account", () => {
      granted = true;
      return read();
    });
    const other = open(path);
    while (await other.isLocked("account")) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(await other.tryLock("account", { attemptTimeoutMs: 30 }).catch((error: { code: string }) => error.code)).toBe("DLOCK_BACKEND");
    expect(granted).toBe(false);
    database.exec("COMMIT");
    expect(await waiting).toEqual([{ amount: 7, by: "slow" }]);
  });
});

describe("a guard refuses", () => {
  async function stage() {
    const path = temporaryFile();
    const locks = open(path);
    return { path, locks, lock: await locks.lock("account"), ...application(path) };
  }

  test("to work outside of a transaction", async () => {
    const { guard, lock } = await stage();
    expect(() => guard(lock)).toThrow(TypeError);
    expect(() => guard(lock)).toThrow(/inside of the transaction/);
  });

  test("a shared lock, several at once, and nothing", async () => {
    const { locks, write } = await stage();
    const shared = await locks.lock("reader", { mode: "shared" });
    const all = await locks.lockAll(["x", "y"]);
    for (const wrong of [shared, all, undefined]) expect(() => write(wrong as Lock, 1, "wrong")).toThrow(TypeError);
  });

  test("a lock that is released or lost", async () => {
    const { database, locks, lock, write, read } = await stage();
    await lock.unlock();
    expect(() => write(lock, 1, "released")).toThrow(LockNotHeldError);
    const lost = await locks.lock("other");
    database.prepare("DELETE FROM dlock_leases").run();
    await expect(lost.refresh()).rejects.toThrow(LockNotHeldError);
    expect(() => write(lost, 1, "lost")).toThrow(LockNotHeldError);
    expect(read()).toEqual([]);
  });

  test("a lock of another file", async () => {
    const { write } = await stage();
    const elsewhere = await open(temporaryFile()).lock("account");
    expect(() => write(elsewhere, 1, "elsewhere")).toThrow(LockLostError);
  });

  test("a database without locks", async () => {
    const { lock } = await stage();
    const { write, database } = application(temporaryFile());
    expect(() => write(lock, 1, "elsewhere")).toThrow(TypeError);
    expect(() => write(lock, 1, "elsewhere")).toThrow(`${database.name} has no lock tables`);
  });
});
