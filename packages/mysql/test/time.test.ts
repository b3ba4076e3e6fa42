/** Time: only the server's UTC counts, whatever zone, rounding, strictness or steps its clock and its settings have. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, describe, expect, it } from "vitest";
import { mysqlDriver } from "../src/index.ts";
import { call, cell, claim, grant, newTable, observer, ownServer, tryOne } from "./servers.ts";

function faketime(): string {
  const folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib"];
  const found = folders.map((folder) => join(folder, "faketime/libfaketimeMT.so.1")).find((path) => existsSync(path));
  assert(found, "the tests that step the server's clock need libfaketime: apt-get install libfaketime");
  return found;
}

describe("a server that lives in another time zone and is not strict", async () => {
  const server = await ownServer({
    args: [
      "--default-time-zone=-05:30",
      "--sql-mode=",
      "--transaction-isolation=SERIALIZABLE",
      "--character-set-server=latin1",
      "--autocommit=0",
    ],
  });
  // One connection, which looks anew each time: what the server's settings make of a transaction is not the matter here.
  const outside = observer(server.url, { connectionLimit: 1 });
  await outside.query("SET autocommit = 1");

  it("keeps leases for their TTL to the millisecond", async () => {
    const table = newTable();
    const driver = mysqlDriver({ url: server.url, table });
    for (const ttlMs of [1, 499, 500, 501, 1_500]) {
      const key = `ttl${ttlMs}`;
      await grant(driver, claim(key, { ttlMs }));
      const kept = await cell(outside, `SELECT TIMESTAMPDIFF(MICROSECOND, updated_at, expires_at) FROM ${table} WHERE lock_key = '${key}'`);
      expect(kept).toBe(ttlMs * 1_000);
    }
    const away = await cell(
      outside,
      `SELECT ABS(TIMESTAMPDIFF(SECOND, updated_at, UTC_TIMESTAMP())) FROM ${table} WHERE lock_key = 'ttl1500'`,
    );
    expect(Number(away)).toBeLessThan(60);
    await driver.close();
  });

  it("gives a process in a zone with daylight saving the same locks", async () => {
    const table = newTable();
    const here = mysqlDriver({ url: server.url, table });
    const there = mysqlDriver({ connection: { uri: server.url, timezone: "+14:00" } as never, table });
    await grant(here, claim("zone", { ttlMs: 60_000 }));
    expect(await tryOne(there, claim("zone"))).toMatchObject({ acquired: false });
    const [holder] = await there.inspect("zone", call);
    expect(holder?.remainingMs).toBeGreaterThan(55_000);
    expect(holder?.remainingMs).toBeLessThanOrEqual(60_000);
    await here.close();
    await there.close();
  });

  it("tells keys apart that its collation takes for one, and refuses none for its length", async () => {
    const table = newTable();
    const driver = mysqlDriver({ url: server.url, table });
    const keys = ["job", "JOB", "job ", "jób", "x".repeat(255), `${"x".repeat(254)}y`];
    const results = await driver.acquire(
      keys.map((key) => claim(key)),
      call,
    );
    expect(results).toMatchObject(keys.map(() => ({ acquired: true })));
    await driver.close();
  });
});

describe("a server that cannot tell the time after a wait", () => {
  it("is refused with the option to remove", async () => {
    const server = await ownServer({ args: ["--sysdate-is-now"] });
    const driver = mysqlDriver({ url: server.url });
    await expect(driver.ping(call)).rejects.toThrow("remove the option");
    await driver.close();
  });
});

describe("a server whose clock steps", async () => {
  const folder = await mkdtemp(join(tmpdir(), "dlock-clock-"));
  const clock = join(folder, "offset");
  await writeFile(clock, "+0");
  const server = await ownServer({
    env: {
      LD_PRELOAD: faketime(),
      FAKETIME_TIMESTAMP_FILE: clock,
      FAKETIME_NO_CACHE: "1",
      DONT_FAKE_MONOTONIC: "1",
    },
  });
  const outside = observer(server.url);
  const table = newTable();
  const driver = mysqlDriver({ url: server.url, table });
  afterAll(async () => {
    await driver.close();
    await rm(folder, { recursive: true, force: true });
  });

  async function step(offset: string): Promise<void> {
    const before = Number(await cell(outside, "SELECT UNIX_TIMESTAMP()"));
    await writeFile(clock, offset);
    const moved = Number(await cell(outside, "SELECT UNIX_TIMESTAMP()")) - before;
    expect(Math.abs(moved)).toBeGreaterThan(3_000);
  }

  it("an hour back: a renewal mends the lease, a release frees the key at once, tokens grow", async () => {
    await writeFile(clock, "+0");
    const renewed = claim("renewed", { ttlMs: 5_000 });
    const freed = claim("freed", { ttlMs: 5_000 });
    const renewedToken = await grant(driver, renewed);
    const freedToken = await grant(driver, freed);
    const swept = claim("swept");
    const sweptToken = await grant(driver, swept);
    await driver.release([swept], call);
    await step("-3600");
    expect(await driver.extend([{ ...renewed, token: renewedToken, longestMs: 5_000 }], call)).toEqual([true]);
    const [holder] = await driver.inspect("renewed", call);
    expect(holder?.remainingMs).toBeLessThanOrEqual(5_000);
    expect(await driver.release([{ ...freed, token: freedToken }], call)).toEqual([true]);
    expect(await grant(driver, claim("freed"))).toBeGreaterThan(freedToken);
    expect(await driver.sweep(call)).toBe(1);
    expect(await grant(driver, swept)).toBeGreaterThan(sweptToken);
  });

  it("an hour on: leases end, their holders are refused, and tokens grow", async () => {
    await writeFile(clock, "+0");
    const wish = claim("on", { ttlMs: 5_000 });
    const token = await grant(driver, wish);
    await step("+3600");
    expect(await driver.extend([{ ...wish, token, longestMs: 5_000 }], call)).toEqual([false]);
    const next = await grant(driver, claim("on", { ttlMs: 300 }));
    expect(next).toBeGreaterThan(token);
    await sleep(310);
    await step("+0");
    // The lease of the future is over an hour from now: only its owner or an operator can free it before.
    expect(await tryOne(driver, claim("on"))).toMatchObject({ acquired: false });
  });
});
