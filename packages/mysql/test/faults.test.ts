/** What a broken network, a restarted or read-only server and a meddling administrator do to the driver. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { createLockProvider, isDriverError, type LockDriver } from "@dlock/core";
import { startProxy, type TcpProxy } from "@dlock-tooling/faults";
import { createPool, type PoolConnection } from "mysql2";
import type { Pool } from "mysql2/promise";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { mysqlDriver } from "../src/index.ts";
import { call, cell, claim, eventually, failure, grant, newTable, observer, ownServer, tryOne } from "./servers.ts";

const server = await ownServer();
const outside = observer(server.url);
const table = newTable();
let proxy: TcpProxy;
/** Through the proxy, and around it. */
let driver: LockDriver;
let other: LockDriver;
let keysMade = 0;
const newKey = () => `a-key-${++keysMade}-`;

beforeAll(() => {
  other = mysqlDriver({ url: server.url, table });
});
afterAll(() => other.close());
beforeEach(async () => {
  proxy = await startProxy(server);
  driver = mysqlDriver({ url: proxy.through(server.url), table });
  await driver.ping(call);
});
afterEach(async () => {
  await driver.close();
  await proxy.close();
});

/** The request that carries the key, as a parameter or as a literal. */
const about = (key: string) => (bytes: Buffer) => bytes.includes(key) || bytes.includes(Buffer.from(key).toString("hex"));

describe("a broken network", () => {
  it("leaves the outcome unknown when the request is cut, and the next call works", async () => {
    const key = newKey();
    const cut = proxy.cutBefore(about(key));
    const error = await failure(driver.acquire([claim(key)], call));
    await cut;
    expect(error).toMatchObject({ applied: "unknown", retryable: true });
    expect(await other.inspect(key, call)).toEqual([]);
    expect(await tryOne(driver, claim(key))).toMatchObject({ acquired: true });
  });

  it("leaves the outcome unknown when the reply is cut, and the same owner is granted the same lease", async () => {
    const wish = claim(newKey());
    const cut = proxy.cutAfter(about(wish.key));
    const error = await failure(driver.acquire([wish], call));
    await cut;
    expect(error).toMatchObject({ applied: "unknown", retryable: true });
    const [holder] = await other.inspect(wish.key, call);
    expect(holder?.owner).toBe(wish.owner);
    expect(await grant(driver, wish)).toBe(holder?.token);
    expect(await driver.release([wish], call)).toEqual([true]);
  });

  it("ends every call at its deadline in a black hole, and gives the connection up", async () => {
    const wish = claim(newKey());
    const token = await grant(driver, wish);
    proxy.blackHole();
    const startedAt = performance.now();
    const timeoutMs = 500;
    const outcomes = await Promise.all([
      driver.acquire([claim(newKey())], { timeoutMs }),
      driver.extend([{ ...wish, token, longestMs: 10_000 }], { timeoutMs }),
      driver.release([{ ...wish, token }], { timeoutMs }),
      driver.inspect(wish.key, { timeoutMs }).catch((error: unknown) => [error]),
      driver.ping({ timeoutMs }).catch((error: unknown) => [error]),
    ]);
    expect(performance.now() - startedAt).toBeLessThan(timeoutMs + 500);
    for (const [outcome] of outcomes as unknown as [unknown][]) assert(isDriverError(outcome) && outcome.retryable);
    const open = proxy.connections;
    proxy.heal();
    await eventually("the old connections to be gone", () => proxy.connections < open);
    expect(await tryOne(driver, claim(newKey()))).toMatchObject({ acquired: true });
  });

  it("ends a call at its deadline when not even a connection can be made", async () => {
    const fresh = mysqlDriver({ url: proxy.through(server.url), table });
    proxy.blackHole();
    const startedAt = performance.now();
    expect(await failure(fresh.acquire([claim(newKey())], { timeoutMs: 300 }))).toMatchObject({ applied: "no", retryable: true });
    expect(performance.now() - startedAt).toBeLessThan(1_000);
    proxy.heal();
    await fresh.close();
  });

  it("says that nothing was applied when the server cannot be reached, without the password", async () => {
    const fresh = mysqlDriver({ url: proxy.through("mysql://someone:very-secret@host/dlock") });
    proxy.refuse();
    const error = await failure(fresh.acquire([claim(newKey())], call));
    expect(error).toMatchObject({ applied: "no", retryable: true });
    expect(`${error.message} ${JSON.stringify(error.cause)} ${error.stack}`).not.toContain("very-secret");
    await fresh.close();
  });

  it("tells the holder of the loss at its deadline, without a reply", async () => {
    const locks = createLockProvider(driver, { ttlMs: 1_000 });
    const lock = await locks.lock(newKey());
    const lost = new Promise<unknown>((resolve) => lock.signal.addEventListener("abort", () => resolve(lock.signal.reason)));
    const startedAt = performance.now();
    proxy.blackHole();
    expect(await lost).toMatchObject({ code: "DLOCK_LOST" });
    expect(performance.now() - startedAt).toBeLessThan(1_200);
    proxy.heal();
    await locks.close();
  });
});

describe("a server with a wait_timeout of 1 s", () => {
  /** How many connections there are besides the one that asks. */
  const connected = async (look: Pool) =>
    Number(await cell(look, "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID() AND USER = 'dlock'"));

  it("ends no connection of the driver, which asks for a longer one", async () => {
    const server = await ownServer({ args: ["--wait-timeout=1"] });
    const patient = mysqlDriver({ url: server.url });
    const wish = claim(newKey());
    const token = await grant(patient, wish);
    await sleep(2_500);
    const look = observer(server.url);
    expect(await connected(look)).toBe(1);
    expect(await patient.extend([{ ...wish, token, longestMs: 10_000 }], call)).toEqual([true]);
    await patient.close();
  });

  it("ends idle connections of the pool and of the driver, and no call fails or is late for it", async () => {
    const server = await ownServer({ args: ["--wait-timeout=1"] });
    const pool = createPool({ uri: server.url, connectionLimit: 10 });
    const taken: PoolConnection[] = [];
    pool.on("acquire", (connection) => taken.push(connection));
    // More than the driver takes.
    await Promise.all(Array.from({ length: 4 }, () => pool.promise().query("DO SLEEP(0.1)")));
    const pooled = mysqlDriver({ pool });
    const wish = claim(newKey());
    const token = await grant(pooled, wish);
    // As a proxy in between may do: nothing that the driver asked for lasts.
    for (const connection of taken) connection.query("SET wait_timeout = 1");
    const look = observer(server.url);
    await eventually("the server to have ended all of them", async () => (await connected(look)) === 0, 100);
    const startedAt = performance.now();
    expect(await pooled.extend([{ ...wish, token, longestMs: 10_000 }], call)).toEqual([true]);
    expect(await pooled.inspect(wish.key, call)).toMatchObject([{ owner: wish.owner }]);
    expect(performance.now() - startedAt).toBeLessThan(call.timeoutMs);
    await pooled.close();
    await new Promise<void>((resolve) => void pool.end(() => resolve()));
  });

  it("never refuses a call of a process that was suspended meanwhile", async () => {
    const pool = createPool({ uri: server.url, connectionLimit: 2 });
    const taken: PoolConnection[] = [];
    pool.on("acquire", (connection) => taken.push(connection));
    const pooled = mysqlDriver({ pool, table });
    const wish = claim(newKey());
    const token = await grant(pooled, wish);
    for (const connection of taken) await connection.promise().query("SET wait_timeout = 1");
    // Not even the end of the connection is noticed before the call is sent.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2_000);
    const [outcome] = await pooled.extend([{ ...wish, token, longestMs: 10_000 }], call);
    // MySQL says why it closed the connection, so that the call can be sent again; MariaDB says nothing.
    if (/MariaDB/.test(String(await cell(outside, "SELECT VERSION()"))))
      expect(outcome).toMatchObject({ applied: "unknown", retryable: true });
    else expect(outcome).toBe(true);
    expect(await pooled.extend([{ ...wish, token, longestMs: 10_000 }], call)).toEqual([true]);
    await pooled.close();
    await new Promise<void>((resolve) => void pool.end(() => resolve()));
  });
});

describe("a process that was busy for longer than a call may take", () => {
  it("takes the answers that have come meanwhile", async () => {
    const direct = mysqlDriver({ url: server.url, table });
    const wish = claim(newKey());
    await direct.release([{ ...wish, token: await grant(direct, wish) }], call);
    const answer = direct.acquire([wish], { timeoutMs: 100 });
    // Long enough for the request to be written.
    await new Promise((resolve) => setImmediate(resolve));
    const until = performance.now() + 500;
    while (performance.now() < until);
    expect(await answer).toMatchObject([{ acquired: true }]);
    await direct.close();
  });
});

describe("a connection that the server ends", () => {
  it("is replaced without a failed call when it was killed while idle", async () => {
    const wish = claim(newKey());
    const token = await grant(driver, wish);
    await eventually("the killed connections to close", async () => {
      const [ids] = await outside.query("SELECT ID FROM information_schema.PROCESSLIST WHERE COMMAND = 'Sleep' AND ID <> CONNECTION_ID()");
      for (const { ID } of ids as { ID: number }[]) {
        // One that is gone by now is what we want.
        await outside.query(`KILL ${ID}`).catch(() => {});
      }
      return proxy.connections === 0;
    });
    expect(await driver.extend([{ ...wish, token, longestMs: 10_000 }], call)).toEqual([true]);
  });

  it("leaves the outcome unknown when it was killed in the middle of a statement", async () => {
    const key = newKey();
    const wish = claim(key);
    await driver.release([{ ...wish, token: await grant(driver, wish) }], call);
    const holder = await outside.getConnection();
    await holder.query("BEGIN");
    await holder.query(`SELECT * FROM ${table} WHERE lock_key = '${key}' FOR UPDATE`);
    const answer = failure(driver.acquire([claim(key)], call));
    await eventually("the statement to be running", async () => {
      const id = await cell(
        outside,
        "SELECT MAX(ID) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'INSERT INTO%' AND ID <> CONNECTION_ID()",
      );
      if (id === null) return false;
      await outside.query(`KILL ${Number(id)}`);
      return true;
    });
    const error = await answer;
    expect(error.retryable).toBe(true);
    await holder.query("ROLLBACK");
    holder.release();
    expect(await tryOne(driver, claim(key))).toMatchObject({ acquired: true });
  });
});

describe("the server", () => {
  it("keeps leases and the growth of tokens over a kill and a restart", { timeout: 60_000 }, async () => {
    const wish = claim(newKey(), { ttlMs: 60_000 });
    const token = await grant(driver, wish);
    await server.kill();
    expect(await failure(driver.extend([{ ...wish, token, longestMs: 60_000 }], { timeoutMs: 500 }))).toMatchObject({ retryable: true });
    await server.restart();
    expect(await driver.extend([{ ...wish, token, longestMs: 60_000 }], call)).toEqual([true]);
    expect(await driver.release([{ ...wish, token }], call)).toEqual([true]);
    expect(await grant(driver, claim(wish.key))).toBeGreaterThan(token);
  });

  it("that is frozen delays no call beyond its deadline", async () => {
    server.pause();
    const startedAt = performance.now();
    const error = await failure(driver.acquire([claim(newKey())], { timeoutMs: 400 }));
    server.resume();
    expect(error).toMatchObject({ applied: "unknown", retryable: true });
    expect(error.message).toMatch(/^the server did not answer in time; \d+ ms were left when it was asked$/);
    expect(performance.now() - startedAt).toBeLessThan(1_500);
    expect(await tryOne(driver, claim(newKey()))).toMatchObject({ acquired: true });
  });

  it("that is read-only is a clear error of every writing call, ping included", async () => {
    await outside.query("CREATE USER IF NOT EXISTS plain IDENTIFIED BY 'very-secret'");
    await outside.query("GRANT SELECT, INSERT, UPDATE, DELETE ON dlock.* TO plain");
    const plain = mysqlDriver({ url: server.url.replace("dlock:dlock@", "plain:very-secret@"), table });
    await plain.ping(call);
    await outside.query("SET GLOBAL read_only = 1");
    try {
      const pinged = await plain.ping(call).then(
        () => undefined,
        (error: unknown) => error,
      );
      const answered = await failure(plain.acquire([claim(newKey())], call));
      for (const error of [pinged, answered]) {
        assert(isDriverError(error));
        expect(error).toMatchObject({ applied: "no", retryable: true });
        expect(error.message).toContain("(1290)");
        expect(error.message).toContain("connect to the primary");
        expect(error.message).not.toContain("very-secret");
      }
    } finally {
      await outside.query("SET GLOBAL read_only = 0");
    }
    expect(await tryOne(plain, claim(newKey()))).toMatchObject({ acquired: true });
    await plain.close();
  });

  it("that prepares no more statements is asked without", { timeout: 60_000 }, async () => {
    const miser = await ownServer({ args: ["--max-prepared-stmt-count=0"] });
    const unprepared = mysqlDriver({ url: miser.url });
    const wish = claim(newKey(), { metadata: "x" });
    const token = await grant(unprepared, wish);
    expect(await unprepared.inspect(wish.key, call)).toMatchObject([{ owner: wish.owner, metadata: "x" }]);
    expect(await unprepared.release([{ ...wish, token }], call)).toEqual([true]);
    const several = ["é", "'", "?"].map((key) => claim(key));
    const granted = await unprepared.acquire(several, call);
    expect(granted).toMatchObject(several.map(() => ({ acquired: true })));
    const held = several.map((each, i) => ({ ...each, token: (granted[i] as { token: bigint }).token, longestMs: 10_000 }));
    expect(await unprepared.extend(held, call)).toEqual([true, true, true]);
    expect(await unprepared.release(held, call)).toEqual([true, true, true]);
    await unprepared.close();
  });

  it("that turned read-only is left for another host", { timeout: 60_000 }, async () => {
    const second = await ownServer();
    const there = observer(second.url);
    for (const pool of [outside, there]) {
      await pool.query("CREATE USER IF NOT EXISTS plain IDENTIFIED BY 'very-secret'");
      await pool.query("GRANT ALL ON dlock.* TO plain");
    }
    const url = `mysql://plain:very-secret@127.0.0.1:${server.port}/dlock?table=${table}&node=127.0.0.1:${second.port}`;
    const both = mysqlDriver({ url });
    await grant(both, claim(newKey()));
    await outside.query("SET GLOBAL read_only = 1");
    try {
      const wish = claim(newKey());
      await grant(both, wish);
      expect(await cell(there, `SELECT COUNT(*) FROM ${table} WHERE lock_key = '${wish.key}'`)).toBe(1);
    } finally {
      await outside.query("SET GLOBAL read_only = 0");
    }
    await both.close();
  });
});

describe("tables that vanish under holders", () => {
  for (const what of ["DROP TABLE", "TRUNCATE TABLE"]) {
    it(`tell the loss at the next renewal after ${what}, and go on with greater tokens`, async () => {
      const name = newTable();
      const one = mysqlDriver({ url: server.url, table: name });
      const wish = claim("k");
      const token = await grant(one, wish);
      for (const suffix of ["", "_shared", "_floor"]) await outside.query(`${what} ${name}${suffix}`);
      expect(await one.extend([{ ...wish, token, longestMs: 10_000 }], call)).toEqual([false]);
      expect(await grant(one, claim("k"))).toBeGreaterThan(token);
      expect(await grant(one, claim("s", { mode: "shared" }))).toBeGreaterThan(token);
      await one.close();
    });
  }
});
