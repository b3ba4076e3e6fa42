/** What a call costs the server: one statement where nobody is in the way, and no rows but those of its claims, however many others there are. */
import { type AcquireClaim, isDriverError, type LockDriver } from "@dlock/core";
import { createPool, type PoolConnection } from "mysql2";
import type { RowDataPacket } from "mysql2/promise";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { mysqlDriver, schemaSql } from "../src/index.ts";
import { call, claim, newTable, observer, serverUrl } from "./servers.ts";

const url = await serverUrl();
const table = newTable();
const rows = 100_000;
/** For each claim and statement: its row, what is next to it, and what the server keeps for itself; far from the rows that there are. */
const readsEach = 60;

const pool = createPool(url);
const sessions: PoolConnection[] = [];
pool.on("acquire", (connection) => sessions.push(connection));
let driver: LockDriver;

beforeAll(async () => {
  const admin = observer(url, { multipleStatements: true });
  await admin.query(schemaSql({ table }));
  const digit = `(${Array.from({ length: 10 }, (_, i) => `SELECT ${i} d`).join(" UNION ALL ")})`;
  const number = "a.d + 10 * b.d + 100 * c.d + 1000 * d.d + 10000 * e.d";
  const numbers = `FROM ${["a", "b", "c", "d", "e"].map((name) => `${digit} ${name}`).join(" CROSS JOIN ")}`;
  const lease = "'someone', 1, '2100-01-01', '2000-01-01', '2000-01-01'";
  const columns = "owner, token, expires_at, created_at, updated_at";
  await admin.query(`INSERT INTO ${table} (lock_key, ${columns}) SELECT CONCAT('row ', ${number}), ${lease} ${numbers}`);
  await admin.query(
    `INSERT INTO ${table}_shared (lock_key, slot, ${columns}) SELECT CONCAT('row ', ${number}), 1 + e.d MOD 2, ${lease} ${numbers}`,
  );
  await admin.query(`ANALYZE TABLE ${table}, ${table}_shared`);
  driver = mysqlDriver({ pool, table });
  await driver.ping(call);
}, 60_000);
afterAll(async () => {
  await driver.close();
  pool.end();
});

/** The sum of counters of the driver's sessions since they began: rows read, or statements. */
async function counted(name: "Handler_read%" | "Questions"): Promise<number> {
  let sum = 0;
  for (const session of sessions) {
    const [status] = await session.promise().query<RowDataPacket[]>(`SHOW SESSION STATUS LIKE '${name}'`);
    for (const { Value } of status) sum += Number(Value);
  }
  return sum;
}

async function costOf<T>(name: "Handler_read%" | "Questions", work: () => Promise<T>): Promise<{ result: T; cost: number }> {
  // What the looking itself costs: it is a statement, and some servers keep the counters in a table.
  const before = await counted(name);
  const looking = (await counted(name)) - before;
  const result = await work();
  return { result, cost: (await counted(name)) - before - 2 * looking };
}

async function readsOf<T>(work: () => Promise<T>): Promise<{ result: T; read: number }> {
  const { result, cost } = await costOf("Handler_read%", work);
  return { result, read: cost };
}

describe(`beside ${rows} other keys and holders`, () => {
  for (const [mode, count] of [
    ["exclusive", 1],
    ["exclusive", 100],
    ["exclusive", 640],
    ["shared", 1],
    ["shared", 100],
    ["shared", 640],
  ] as const) {
    it(`${count} ${mode} claims read only rows of their own`, async () => {
      const most = readsEach * count + 500;
      const wishes = Array.from({ length: count }, (_, i): AcquireClaim => claim(`row ${i * 150} ${mode} ${count}`, { mode, limit: 1 }));
      for (const again of ["on new rows", "on free rows"]) {
        const granted = await readsOf(() => driver.acquire(wishes, call));
        expect(granted.read, `granted ${again}`).toBeLessThan(most);
        const held = granted.result.map((result, i) => {
          if (isDriverError(result) || !result.acquired) throw new Error(`not granted ${again}`, { cause: result });
          return { ...(wishes[i] as AcquireClaim), token: result.token, longestMs: 10_000 };
        });
        const refused = await readsOf(() =>
          driver.acquire(
            wishes.map((wish) => ({ ...wish, owner: "other" })),
            call,
          ),
        );
        expect(refused.result).toMatchObject(wishes.map(() => ({ acquired: false })));
        expect(refused.read, "refused").toBeLessThan(most);
        const extended = await readsOf(() => driver.extend(held, call));
        expect(extended.result).toEqual(wishes.map(() => true));
        expect(extended.read, "extended").toBeLessThan(most);
        const stale = held.map((each) => ({ ...each, token: each.token - 1n }));
        const lost = await readsOf(() => driver.extend(stale, call));
        expect(lost.result).toEqual(wishes.map(() => false));
        expect(lost.read, "lost").toBeLessThan(most);
        const released = await readsOf(() => driver.release(held, call));
        expect(released.result).toEqual(wishes.map(() => true));
        expect(released.read, "released").toBeLessThan(most);
        const gone = await readsOf(() => driver.release(held, call));
        expect(gone.result).toEqual(wishes.map(() => false));
        expect(gone.read, "released again").toBeLessThan(most);
      }
    });
  }

  it("any number of exclusive locks are acquired, renewed and released by one statement each", async () => {
    for (const count of [1, 2, 3, 640]) {
      const wishes = Array.from({ length: count }, (_, i) => claim(`one of ${count}: ${i}`));
      for (const _ of ["on new rows", "on free rows"]) {
        const granted = await costOf("Questions", () => driver.acquire(wishes, call));
        const held = granted.result.map((result, i) => {
          if (isDriverError(result) || !result.acquired) throw new Error("not granted", { cause: result });
          return { ...(wishes[i] as AcquireClaim), token: result.token, longestMs: 10_000 };
        });
        const extended = await costOf("Questions", () => driver.extend(held, call));
        const released = await costOf("Questions", () => driver.release(held, call));
        expect([granted.cost, extended.cost, released.cost]).toEqual([1, 1, 1]);
      }
    }
  });

  it("a look at one key and a ping read next to nothing", async () => {
    const inspected = await readsOf(() => driver.inspect("row 77777", call));
    expect(inspected.result).toHaveLength(2);
    expect(inspected.read).toBeLessThan(readsEach);
    expect((await readsOf(() => driver.ping(call))).read).toBeLessThan(readsEach);
  });

  it("a list reads each row of its keys once, and a page of it no further", async () => {
    const page = await readsOf(async () => {
      for await (const _ of driver.list({ prefix: "row 5" })) break;
    });
    expect(page.read).toBeLessThan(1_000);
    // Some for 5, 50 to 59, and so on; a holder of each, too.
    const expected = 2 * 11_111;
    const whole = await readsOf(async () => {
      const seen = new Set<string>();
      for await (const { key, mode } of driver.list({ prefix: "row 5" })) seen.add(`${mode} ${key}`);
      return seen.size;
    });
    expect(whole.result).toBe(expected);
    expect(whole.read).toBeLessThan(2 * expected);
  });
});
