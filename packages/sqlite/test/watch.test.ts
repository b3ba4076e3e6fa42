/** Waking up: across processes by the signal file, by the poll where that is missing, and at no cost when nobody waits. */
import { createHook } from "node:async_hooks";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { LockDriver } from "@dlock/core";
import Database from "better-sqlite3";
import { expect, it, onTestFinished } from "vitest";
import { sqliteDriver } from "../src/index.ts";
import { acquire, grant, release } from "./support/claims.ts";
import { temporaryFile } from "./support/files.ts";
import { Peer } from "./support/process.ts";

function open(path: string): LockDriver {
  const driver = sqliteDriver(path);
  onTestFinished(() => driver.close());
  return driver;
}

/** Watches as one who was refused; `next` resolves at the first wake after it was called. */
async function watch(driver: LockDriver, key: string, owner = "waiter") {
  let woken = () => {};
  const seen = { wakes: 0 };
  const stop = await driver.watch?.({ key, owner }, () => {
    seen.wakes += 1;
    woken();
  });
  onTestFinished(() => stop?.());
  return {
    seen,
    stop: () => stop?.(),
    next: () =>
      new Promise<void>((resolve) => {
        woken = resolve;
      }),
  };
}

/** Counts the file watchers that are made and closed from now on. */
function countWatchers() {
  const open = new Set<number>();
  const counts = { made: 0, open };
  const hook = createHook({
    init(id, type) {
      if (type !== "FSEVENTWRAP") return;
      counts.made += 1;
      open.add(id);
    },
    destroy: (id) => void open.delete(id),
  });
  hook.enable();
  onTestFinished(() => void hook.disable());
  return counts;
}

it("a release in another process wakes a waiter", async () => {
  const path = temporaryFile();
  const peer = await Peer.start(path);
  const driver = open(path);
  for (let round = 0; round < 20; round += 1) {
    const { token } = await peer.call("acquire", "k", "theirs", 60_000);
    expect((await acquire(driver, { key: "k", owner: "waiter" })).acquired).toBe(false);
    const { next, stop } = await watch(driver, "k");
    const woken = next();
    await peer.call("release", "k", "theirs", token);
    await woken;
    stop();
    await release(driver, "k", "waiter", await grant(driver, { key: "k", owner: "waiter" }));
  }
});

it("without the signal the poll wakes a waiter", async () => {
  const path = temporaryFile();
  const driver = open(path);
  await grant(driver, { key: "k", owner: "holder" });
  const { next } = await watch(driver, "k");
  const woken = next();
  const raw = new Database(path);
  raw.exec("DELETE FROM dlock_leases");
  raw.close();
  await woken;
});

it("a signal file that is deleted is made again", async () => {
  const path = temporaryFile();
  const driver = open(path);
  const other = open(path);
  const token = await grant(other, { key: "k", owner: "holder" });
  const { next } = await watch(driver, "k");
  rmSync(`${path}-dlock-signal`);
  const woken = next();
  await release(other, "k", "holder", token);
  await woken;
  await expect.poll(() => existsSync(`${path}-dlock-signal`)).toBe(true);
});

it("a release nobody waits for makes no signal file", async () => {
  const path = temporaryFile();
  const driver = open(path);
  await release(driver, "k", "o", await grant(driver, { key: "k", owner: "o" }));
  expect(existsSync(`${path}-dlock-signal`)).toBe(false);
});

it("a waiter is not woken by releases of other keys while its own stays held", async () => {
  const path = temporaryFile();
  const driver = open(path);
  const other = open(path);
  const token = await grant(other, { key: "k", owner: "holder" });
  const waiter = await watch(driver, "k");
  const witness = await watch(driver, "other");
  for (let round = 0; round < 5; round += 1) {
    const woken = witness.next();
    await release(other, "other", "o", await grant(other, { key: "other", owner: "o" }));
    await woken;
  }
  expect(waiter.seen.wakes).toBe(0);
  const woken = waiter.next();
  await release(other, "k", "holder", token);
  await woken;
});

it("one who was refused again for want of a slot is woken when it comes free again, though the key then looks as before", async () => {
  const path = temporaryFile();
  const driver = open(path);
  const other = open(path);
  const shared = { key: "k", mode: "shared" as const, limit: 2 };
  await grant(other, { ...shared, owner: "one" });
  const two = await grant(other, { ...shared, owner: "two" });
  const waiter = await watch(driver, "k");
  let woken = waiter.next();
  await release(other, "k", "two", two);
  await woken;
  // Someone else is quicker.
  const three = await grant(other, { ...shared, owner: "three" });
  expect((await acquire(driver, { ...shared, owner: "waiter" })).acquired).toBe(false);
  woken = waiter.next();
  await release(other, "k", "three", three);
  await woken;
  expect((await acquire(driver, { ...shared, owner: "waiter" })).acquired).toBe(true);
});

it("all who wait in a process share one watcher, which goes with the last of them", async () => {
  const path = temporaryFile();
  const drivers = [open(path), open(path)];
  const watchers = countWatchers();
  const watches = await Promise.all(drivers.flatMap((driver) => ["a", "b", "c"].map((key) => watch(driver, key))));
  expect(watchers.made).toBe(1);
  for (const { stop } of watches.slice(1)) stop();
  expect(watchers.open.size).toBe(1);
  watches[0]?.stop();
  await expect.poll(() => watchers.open.size).toBe(0);
  expect(watchers.made).toBe(1);
});

it("a watch does not keep the process alive", async () => {
  const dist = fileURLToPath(new URL("../dist/index.js", import.meta.url));
  const script = `
    import { sqliteDriver } from ${JSON.stringify(dist)};
    const driver = sqliteDriver(${JSON.stringify(temporaryFile())});
    await driver.acquire([{ key: "k", owner: "o", ttlMs: 60000, mode: "exclusive" }], { timeoutMs: 1000 });
    await driver.watch({ key: "k", owner: "waiter" }, () => {});
    console.log("watching");`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: ["ignore", "pipe", "inherit"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  const [output] = await once(child.stdout, "data");
  expect(String(output)).toBe("watching\n");
  expect(await once(child, "exit")).toEqual([0, null]);
});
