/** The guard in the user's own transactions: who was overtaken commits nothing, renewals of other locks go on, and wrong uses are refused. */
import { createLockProvider, type Lock, LockLostError, LockNotHeldError, type LockProvider, systemClock } from "@dlock/core";
import { createConnection } from "mysql2";
import type { PoolConnection, RowDataPacket } from "mysql2/promise";
import { describe, expect, it, onTestFinished } from "vitest";
import { mysqlDriver, mysqlGuard } from "../src/index.ts";
import { cell, eventually, lockRow, newTable, observer, serverUrl, untilBlocked } from "./servers.ts";

const url = await serverUrl();
const pool = observer(url);
const table = newTable();
const guard = mysqlGuard({ table });
const orders = newTable();
await pool.query(`CREATE TABLE ${orders} (id VARCHAR(64) PRIMARY KEY, status VARCHAR(64)) ENGINE = InnoDB`);

function open(options: Parameters<typeof createLockProvider>[1] = {}): LockProvider {
  const locks = createLockProvider(mysqlDriver({ url, table }), options);
  onTestFinished(() => locks.close());
  return locks;
}

/** A clock that has stopped, as a suspended machine's: its locks look held for ever, and are never renewed. */
const suspended = { ttlMs: 200, clock: { ...systemClock, now: () => 0 }, sweepIntervalMs: 0 };

/** The application's side of one process: a connection whose session is set up as `session` says. */
async function connect(...session: string[]): Promise<PoolConnection> {
  const connection = await pool.getConnection();
  onTestFinished(() => connection.destroy());
  for (const sql of session) await connection.query(sql);
  return connection;
}

/** Work and guard in one transaction. */
async function write(connection: PoolConnection, lock: Lock, status: string): Promise<void> {
  await connection.beginTransaction();
  try {
    await connection.query(`REPLACE INTO ${orders} VALUES (?, ?)`, [lock.key, status]);
    await guard(connection, lock);
    await connection.commit();
  } catch (error) {
    await connection.rollback();
    throw error;
  }
}

async function statusOf(id: string): Promise<unknown> {
  return cell(pool, `SELECT status FROM ${orders} WHERE id = '${id}'`);
}

const fenced = expect.objectContaining({ code: "DLOCK_LOST", reason: "fenced" });

const sessions: [string, string[]][] = [
  ["as it comes", []],
  ["far east of UTC, with a clock that stands still", ["SET time_zone = '+13:00', timestamp = 1000000000"]],
  ["far west of UTC, with a clock that is ahead", ["SET time_zone = '-11:00', timestamp = 2000000000"]],
  ["at READ COMMITTED", ["SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"]],
  ["at SERIALIZABLE and in ANSI mode", ["SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SET sql_mode = 'ANSI'"]],
];

describe.each(sessions)("a guarded transaction in a session %s", (name, session) => {
  const key = (what: string) => `${what} ${sessions.findIndex(([other]) => other === name)}`;

  it("of the holder commits, over renewals and hand-offs", async () => {
    const connection = await connect(...session);
    const locks = open();
    const take = (status: string) => locks.withLock(key("order"), (lock) => write(connection, lock, status));
    await Promise.all([take("one"), take("two").then(() => take("three"))]);
    expect(await statusOf(key("order"))).toBe("three");
    await locks.withLock(key("order"), async (lock) => {
      await lock.refresh(60_000);
      await write(connection, lock, "after a renewal");
    });
    expect(await statusOf(key("order"))).toBe("after a renewal");
  });

  it("of a stale holder is refused, while its successor's commits", async () => {
    const [mine, theirs] = await Promise.all([connect(...session), connect(...session)]);
    const stale = await open(suspended).lock(key("stale"));
    await write(mine, stale, "stale, in time");
    await open().withLock(key("stale"), async (successor) => {
      expect(stale.isHeld).toBe(true); // So it believes.
      await expect(write(mine, stale, "stale, too late")).rejects.toThrow(fenced);
      expect(await statusOf(key("stale"))).toBe("stale, in time");
      await write(theirs, successor, "successor");
      await expect(write(mine, stale, "stale, too late")).rejects.toThrow(LockLostError);
    });
    await expect(write(mine, stale, "stale, after the successor")).rejects.toThrow(fenced);
    expect(await statusOf(key("stale"))).toBe("successor");
  });

  it("is refused as soon as the lease is over, though nobody has taken the key", async () => {
    const connection = await connect(...session);
    const lock = await open(suspended).lock(key("over"));
    await eventually("the lease is over", async () => !(await open().isLocked(key("over"))));
    await expect(write(connection, lock, "late")).rejects.toThrow(fenced);
    expect(await statusOf(key("over"))).toBeUndefined();
  });

  it("leaves the session as it was", async () => {
    const connection = await connect(...session);
    const settings = () => cell(connection, "SELECT CONCAT_WS(',', @@time_zone, @@sql_mode, @@autocommit, NOW() = SYSDATE())");
    const before = await settings();
    await open().withLock(key("settings"), (lock) => write(connection, lock, "done"));
    expect(await settings()).toEqual(before);
  });
});

describe("the row of the lock", () => {
  it("keeps the successor out until the transaction has committed, though the lease ends meanwhile", async () => {
    const connection = await connect();
    const lock = await open(suspended).lock("slow");
    await connection.beginTransaction();
    await guard(connection, lock);
    await connection.query(`REPLACE INTO ${orders} VALUES ('slow', 'done')`);
    const others = open();
    let committed = false;
    const successor = others.withLock("slow", { waitMs: 15_000 }, async () => {
      expect(committed).toBe(true);
      return statusOf("slow");
    });
    await eventually("the lease is over", async () => !(await others.isLocked("slow")));
    await untilBlocked(pool, 1);
    committed = true;
    await connection.commit();
    expect(await successor).toBe("done");
  });

  it("is judged by the time at which it was won", async () => {
    const connection = await connect("SET timestamp = 1000000000");
    const lock = await open(suspended).lock("waited");
    const unlock = await lockRow(pool, table, "waited");
    const late = write(connection, lock, "late");
    late.catch(() => {}); // It is looked at below.
    await untilBlocked(pool, 1);
    await eventually("the lease is over", async () => !(await open().isLocked("waited")));
    await unlock();
    await expect(late).rejects.toThrow(fenced);
    expect(await statusOf("waited")).toBeUndefined();
  });

  it("is read as it is, whatever the transaction has seen before", async () => {
    const connection = await connect("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ");
    const stale = await open({ ...suspended, ttlMs: 1_000 }).lock("snapshot");
    await connection.beginTransaction();
    const [before] = await connection.query<RowDataPacket[]>(`SELECT token FROM ${table} WHERE lock_key = 'snapshot'`);
    await open().withLock("snapshot", () => {});
    const [after] = await connection.query<RowDataPacket[]>(`SELECT token FROM ${table} WHERE lock_key = 'snapshot'`);
    expect(after).toEqual(before);
    await expect(guard(connection, stale)).rejects.toThrow(fenced);
    await connection.rollback();
  });

  it("passes though the lease was renewed since the transaction first read", async () => {
    const connection = await connect("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ");
    const lock = await open({ ...suspended, ttlMs: 20_000 }).lock("renewed");
    await connection.beginTransaction();
    await connection.query(`SELECT token FROM ${table} WHERE lock_key = 'renewed'`);
    await lock.refresh();
    await guard(connection, lock);
    await connection.rollback();
  });

  it("that a long transaction holds stalls the renewal of no other lock, and is renewed when the transaction ends", async () => {
    const connection = await connect();
    const locks = open({ ttlMs: 1_500 });
    const renewed = new Map<string, number>();
    const lost: string[] = [];
    locks.on("renewed", ({ key }) => renewed.set(key, (renewed.get(key) ?? 0) + 1));
    locks.on("lost", ({ key }) => lost.push(key));
    const long = await locks.lock("long", { ttlMs: 20_000, autoRenew: false });
    const others = await Promise.all(["other 1", "other 2", "other 3"].map((key) => locks.lock(key)));
    await connection.beginTransaction();
    await guard(connection, long);
    const stuck = long.refresh().catch(() => {}); // It may give up before the transaction ends.
    const enough = () => others.every(({ key }) => (renewed.get(key) ?? 0) >= 4);
    await eventually("the other locks are renewed for longer than their TTL", enough);
    expect(others.map(({ isHeld }) => isHeld)).toEqual([true, true, true]);
    await connection.commit();
    await stuck;
    await long.refresh();
    expect(long.isHeld).toBe(true);
    expect(lost).toEqual([]);
  });
});

describe("a guard refuses", () => {
  it("to work outside of a transaction, and takes one that autocommit = 0 begins", async () => {
    const connection = await connect();
    const lock = await open().lock("outside");
    await expect(guard(connection, lock)).rejects.toThrow(TypeError);
    await expect(guard(connection, lock)).rejects.toThrow("inside of the transaction");
    await connection.query("SET autocommit = 0");
    await guard(connection, lock);
    await connection.rollback();
  });

  it("a pool, whose statements go to any connection", async () => {
    await expect(guard(pool, await open().lock("pool"))).rejects.toThrow(TypeError);
  });

  it("a shared lock, several at once, and nothing", async () => {
    const connection = await connect();
    const locks = open();
    const shared = await locks.lock("reader", { mode: "shared" });
    const all = await locks.lockAll(["x", "y"]);
    await connection.beginTransaction();
    for (const wrong of [shared, all, undefined]) await expect(guard(connection, wrong as Lock)).rejects.toThrow(TypeError);
  });

  it("a lock that is released or lost", async () => {
    const connection = await connect();
    const locks = open();
    const released = await locks.lock("released");
    await released.unlock();
    await expect(write(connection, released, "released")).rejects.toThrow(LockNotHeldError);
    const lost = await locks.lock("lost");
    await pool.query(`DELETE FROM ${table} WHERE lock_key = 'lost'`);
    await expect(write(connection, lost, "lost, not knowing it")).rejects.toThrow(fenced);
    await expect(lost.refresh()).rejects.toThrow(LockNotHeldError);
    await expect(write(connection, lost, "lost")).rejects.toThrow(LockNotHeldError);
    expect(await statusOf("lost")).toBeUndefined();
  });

  it("a key that is locked again by the same owner: the token decides", async () => {
    const connection = await connect();
    const first = await open({ sweepIntervalMs: 0 }).lock("again", { owner: "me" });
    await pool.query(`DELETE FROM ${table} WHERE lock_key = 'again'`);
    const second = await open().lock("again", { owner: "me" });
    await expect(write(connection, first, "first")).rejects.toThrow(fenced);
    await write(connection, second, "second");
    expect(await statusOf("again")).toBe("second");
  });

  it("locks of other tables, and names that cannot be any", async () => {
    const connection = await connect();
    const lock = await open().lock("elsewhere");
    const otherTable = newTable();
    await createLockProvider(mysqlDriver({ url, table: otherTable })).withLock("any", () => {});
    await connection.beginTransaction();
    await expect(mysqlGuard({ table: otherTable })(connection, lock)).rejects.toThrow(fenced);
    await expect(mysqlGuard({ table: "no_such_table" })(connection, lock)).rejects.toThrow(/there is no table `no_such_table`/);
    await mysqlGuard({ table, schema: new URL(url).pathname.slice(1) })(connection, lock);
    await connection.rollback();
    expect(() => mysqlGuard({ table: "" })).toThrow(RangeError);
  });
});

it("takes a connection of the callback API by its promise()", async () => {
  const connection = createConnection(url).promise();
  onTestFinished(() => connection.end());
  await connection.beginTransaction();
  await guard(connection, await open().lock("callback"));
  await connection.commit();
});
