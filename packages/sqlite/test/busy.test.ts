/** Another process has the write lock: the event loop goes on, and the call ends in its time. */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as later, setImmediate as turn } from "node:timers/promises";
import type { LockDriver } from "@dlock/core";
import Database from "better-sqlite3";
import { expect, it, onTestFinished } from "vitest";
import { sqliteDriver } from "../src/index.ts";
import { acquire, call, extend, faultOf, grant, release } from "./support/claims.ts";
import { temporaryFile } from "./support/files.ts";
import { Peer } from "./support/process.ts";

function open(path: string): LockDriver {
  const driver = sqliteDriver(path);
  onTestFinished(() => driver.close());
  return driver;
}

it("a claim that cannot get at the file ends at its time, certainly not applied, and worth another attempt", async () => {
  const path = temporaryFile();
  const driver = open(path);
  const token = await grant(driver, { key: "held", owner: "o" });
  const writer = await Peer.start(path);
  await writer.call("startWriting");
  const started = performance.now();
  const timeoutMs = 200;
  const faults = await Promise.all([
    faultOf(driver.acquire([{ key: "k", owner: "o", ttlMs: 1_000, mode: "exclusive" }], { timeoutMs })),
    faultOf(driver.extend([{ key: "held", owner: "o", token, ttlMs: 1_000, longestMs: 1_000 }], { timeoutMs })),
    faultOf(driver.release([{ key: "held", owner: "o", token }], { timeoutMs })),
    faultOf(driver.ping({ timeoutMs })),
    faultOf(driver.sweep({ timeoutMs })),
  ]);
  expect(performance.now() - started).toBeGreaterThanOrEqual(timeoutMs);
  // The sweep found nothing to remove and so asked for nothing.
  expect(faults.pop()).toBe(0);
  for (const fault of faults) {
    expect(fault).toMatchObject({
      dlockDriverError: true,
      applied: "no",
      retryable: true,
      message: expect.stringMatching(/keeps .* locked, for 200 ms/),
    });
  }
  await writer.call("stopWriting");
  expect(await extend(driver, "held", "o", token)).toBe(true);
  expect((await acquire(driver, { key: "k", owner: "other" })).acquired).toBe(true);
});

it("waiting for a writer does not block the event loop", async () => {
  const path = temporaryFile();
  const driver = open(path);
  await driver.ping(call);
  const writer = await Peer.start(path);
  await writer.call("startWriting");
  const waiting = faultOf(driver.acquire([{ key: "k", owner: "o", ttlMs: 1_000, mode: "exclusive" }], { timeoutMs: 500 }));
  let settled = false;
  void waiting.then(() => {
    settled = true;
  });
  const delays = monitorEventLoopDelay({ resolution: 1 });
  delays.enable();
  let turns = 0;
  while (!settled) {
    turns += 1;
    await later(1);
  }
  delays.disable();
  expect(await waiting).toMatchObject({ retryable: true });
  // SQLite's own waiting would have let in none. The bound is loose because other work on this machine delays timers as well.
  expect(turns).toBeGreaterThan(50);
  expect(delays.percentile(90) / 1e6).toBeLessThan(20);
});

it("a claim that waits is granted once the writer is done, and in the order of asking", async () => {
  const path = temporaryFile();
  const driver = open(path);
  await driver.ping(call);
  const writer = await Peer.start(path);
  await writer.call("startWriting");
  const tokens: bigint[] = [];
  const waiting = ["a", "b", "c"].map((key) => grant(driver, { key, owner: "o" }).then((token) => tokens.push(token)));
  await writer.call("stopWriting");
  await Promise.all(waiting);
  expect(tokens).toHaveLength(3);
  expect(tokens).toEqual([...tokens].sort((a, b) => (a < b ? -1 : 1)));
});

it("reads do not wait for a writer", async () => {
  const path = temporaryFile();
  const driver = open(path);
  const token = await grant(driver, { key: "k", owner: "o" });
  const writer = await Peer.start(path);
  await writer.call("startWriting");
  expect(await driver.inspect("k", { timeoutMs: 0 })).toMatchObject([{ owner: "o", token }]);
  expect(await driver.list({})[Symbol.asyncIterator]().next()).toMatchObject({ value: { key: "k" } });
});

it("a stopped process that holds the write lock delays the others and no more", async () => {
  const path = temporaryFile();
  const driver = open(path);
  await driver.ping(call);
  const writer = await Peer.start(path);
  await writer.call("startWriting");
  writer.child.kill("SIGSTOP");
  const claim = { key: "k", owner: "o", ttlMs: 1_000, mode: "exclusive" as const };
  expect(await faultOf(driver.acquire([claim], { timeoutMs: 100 }))).toMatchObject({ applied: "no", retryable: true });
  const waiting = grant(driver, { key: "k", owner: "o" });
  writer.child.kill("SIGCONT");
  void writer.call("stopWriting");
  expect(await waiting).toBeGreaterThan(0n);
});

it("a writer that is killed in the middle frees the file", async () => {
  const path = temporaryFile();
  const driver = open(path);
  await driver.ping(call);
  const writer = await Peer.start(path);
  await writer.call("startWriting");
  const waiting = grant(driver, { key: "k", owner: "o" });
  await writer.kill();
  expect(await waiting).toBeGreaterThan(0n);
});

it("a busy timeout of the caller's connection does not apply to claims", async () => {
  const path = temporaryFile();
  const database = new Database(path, { timeout: 60_000 });
  onTestFinished(() => void database.close());
  database.pragma("journal_mode = WAL");
  const driver = sqliteDriver({ database });
  await driver.ping(call);
  const writer = await Peer.start(path);
  await writer.call("startWriting");
  // With the connection's own timeout this would block the whole process for a minute.
  const claim = { key: "k", owner: "o", ttlMs: 1_000, mode: "exclusive" as const };
  expect(await faultOf(driver.acquire([claim], { timeoutMs: 50 }))).toMatchObject({ applied: "no", retryable: true });
});

it("a loop of claims that are all granted at once lets timers run", async () => {
  const driver = open(temporaryFile());
  let over = false;
  setTimeout(() => {
    over = true;
  }, 20);
  let rounds = 0;
  // No turn of the event loop in here unless the driver takes one.
  for (; !over && rounds < 100_000; rounds += 1) await release(driver, "k", "o", await grant(driver, { key: "k", owner: "o" }));
  expect(over).toBe(true);
  await turn();
});

it("closing ends the calls that wait", async () => {
  const path = temporaryFile();
  const driver = sqliteDriver(path);
  await driver.ping(call);
  const writer = await Peer.start(path);
  await writer.call("startWriting");
  const waiting = faultOf(driver.acquire([{ key: "k", owner: "o", ttlMs: 1_000, mode: "exclusive" }], { timeoutMs: 60_000 }));
  await driver.close();
  expect(await waiting).toMatchObject({ dlockDriverError: true, applied: "no", message: expect.stringMatching(/closed/) });
});
