/** Waiting: one query for all that wait, more often while something happens, none while nobody waits. */
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { mysqlDriver } from "../src/index.ts";
import { call, cell, claim, eventually, grant, newTable, observer, ownServer } from "./servers.ts";

// The server counts all statements: nobody else may use it.
const { url } = await ownServer();
const outside = observer(url);

async function queries(): Promise<number> {
  const [rows] = await outside.query("SHOW GLOBAL STATUS LIKE 'Questions'");
  return Number((rows as { Value: string }[])[0]?.Value);
}

describe("a thousand waiters of one process", () => {
  it("cost at most 200 queries a second in all, and fewer the longer nothing happens", async () => {
    const table = newTable();
    const driver = mysqlDriver({ url, table });
    const wishes = Array.from({ length: 500 }, (_, i) => claim(`k${i}`, { ttlMs: 60_000 }));
    await driver.acquire(wishes, call);
    const stops = await Promise.all([...wishes, ...wishes].map((wish) => driver.watch?.(wish, () => {})));
    const before = await queries();
    await sleep(2_000);
    const firstTwo = (await queries()) - before;
    expect(firstTwo).toBeGreaterThan(8);
    expect(firstTwo).toBeLessThan(400);
    await sleep(1_000);
    expect((await queries()) - before - firstTwo).toBeLessThan(25);
    for (const stop of stops) stop?.();
    await sleep(300);
    const after = await queries();
    await sleep(600);
    expect((await queries()) - after).toBe(1);
    await driver.close();
  });
});

describe("a waiter", () => {
  it("is woken soon after a lease ends by itself", async () => {
    const table = newTable();
    const driver = mysqlDriver({ url, table });
    const ends = claim("ends", { ttlMs: 700 });
    await grant(driver, ends);
    let woken = false;
    const stop = await driver.watch?.(claim("ends"), () => {
      woken = true;
    });
    await eventually("the wake", () => woken);
    expect(await driver.inspect("ends", call)).toEqual([]);
    stop?.();
    await driver.close();
  });

  it("is not woken while the holder renews", async () => {
    const table = newTable();
    const driver = mysqlDriver({ url, table });
    const wish = claim("renewed", { ttlMs: 400 });
    const token = await grant(driver, wish);
    let wakes = 0;
    const stop = await driver.watch?.(claim("renewed"), () => {
      wakes++;
    });
    for (let i = 0; i < 5; i++) {
      await sleep(150);
      expect(await driver.extend([{ ...wish, token, longestMs: 400 }], call)).toEqual([true]);
    }
    expect(wakes).toBe(0);
    stop?.();
    await driver.close();
  });

  it("is woken again when the server is back", async () => {
    const table = newTable();
    const driver = mysqlDriver({ url, table });
    const other = mysqlDriver({ url, table });
    const wish = claim("back");
    await grant(other, wish);
    let woken = false;
    const stop = await driver.watch?.(claim("back"), () => {
      woken = true;
    });
    await outside.query("SELECT 1");
    const ids = await outside.query("SELECT ID FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID()");
    for (const { ID } of ids[0] as { ID: number }[]) await outside.query(`KILL ${ID}`).catch(() => {});
    await other.release([wish], call);
    await eventually("the wake", () => woken);
    stop?.();
    await driver.close();
    await other.close();
    expect(await cell(outside, "SELECT 1")).toBe(1);
  });
});
