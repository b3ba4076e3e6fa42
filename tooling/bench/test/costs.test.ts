/**
 * What a cycle allocates and how many timers it sets, counted in a process of its own on what was built. The bounds are half as much again as
 * what was counted when they were written; it varies by a tenth from run to run, whatever else the machine does.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startEtcd, startMysql, startRedis } from "@dlock-tooling/services";
import { expect, test } from "vitest";
import { type Cost, costOfCycle } from "../src/cost.ts";

/** Of one cycle after another, and of one of 256 at once. */
interface Costs {
  readonly alone: Cost;
  readonly crowded: Cost;
}

/** Servers start and processes compile on a machine that may have much else to do. */
const patienceMs = 120_000;

async function costs(server: string, url = ""): Promise<Costs> {
  return {
    alone: await costOfCycle(server, url, { cycles: 500, tasks: 1 }),
    crowded: await costOfCycle(server, url, { cycles: 2_560, tasks: 256 }),
  };
}

async function costsOn(server: string, start: () => Promise<{ url: string; stop(): Promise<void> }>): Promise<Costs> {
  const { url, stop } = await start();
  try {
    return await costs(server, url);
  } finally {
    await stop();
  }
}

function expectAtMost({ alone, crowded }: Costs, bounds: Costs): void {
  // Less than a tenth would mean that something was collected meanwhile, and that nothing was counted.
  expect(alone.bytes).toBeGreaterThan(bounds.alone.bytes / 10);
  expect(crowded.bytes).toBeGreaterThan(bounds.crowded.bytes / 10);
  expect(alone.bytes).toBeLessThanOrEqual(bounds.alone.bytes);
  expect(crowded.bytes).toBeLessThanOrEqual(bounds.crowded.bytes);
  expect(alone.timers).toBeLessThanOrEqual(bounds.alone.timers);
  expect(crowded.timers).toBeLessThanOrEqual(bounds.crowded.timers);
}

/** A second's timers of the provider fall on however many cycles a machine does in it. */
const few = 0.05;

test("a cycle in memory allocates at most 9,600 bytes and sets no timer", { timeout: patienceMs }, async () => {
  expectAtMost(await costs("memory"), { alone: { bytes: 9_600, timers: few }, crowded: { bytes: 8_900, timers: few } });
});

test("a cycle on SQLite allocates at most 33,000 bytes, 10,400 among 256, and sets no timer", { timeout: patienceMs }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "dlock-costs-"));
  try {
    const measured = await costs("sqlite", join(folder, "locks.db"));
    expectAtMost(measured, { alone: { bytes: 33_000, timers: few }, crowded: { bytes: 10_400, timers: few } });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("a cycle on Redis allocates at most 39,000 bytes, 11,000 among 256, and sets no timer", { timeout: patienceMs }, async () => {
  const bounds = { alone: { bytes: 39_000, timers: few }, crowded: { bytes: 11_000, timers: few } };
  expectAtMost(await costsOn("redis", startRedis), bounds);
});

test("a cycle on MariaDB allocates at most 93,000 bytes, 13,800 among 256, and sets two timers a statement", {
  timeout: patienceMs,
}, async () => {
  const bounds = { alone: { bytes: 93_000, timers: 4 + few }, crowded: { bytes: 13_800, timers: few } };
  expectAtMost(await costsOn("mysql", startMysql), bounds);
});

test("a cycle on etcd allocates at most 240,000 bytes, 28,000 among 256, and sets a timer a message", { timeout: patienceMs }, async () => {
  const bounds = { alone: { bytes: 240_000, timers: 2 + few }, crowded: { bytes: 28_000, timers: few } };
  expectAtMost(await costsOn("etcd", startEtcd), bounds);
});
