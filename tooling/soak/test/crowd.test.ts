/** A hundred thousand locks at once, held or waited for: the heap is what it was when they are gone, and no warning was given. */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { CrowdReport } from "../src/crowd.ts";

const program = fileURLToPath(new URL("../dist/crowd.js", import.meta.url));
const scenes = [
  "held, then released",
  "waiting for one key, then served",
  "waiting for one key, then aborted by one signal",
  "waiting for a key each, then served",
  "waiting for a key each, then aborted by one signal",
];
/** Tables that stay grown, the compiler's code, and what trembles; a leak of anything for each lock is more. */
const slackBytes = 1_000_000;
const slackBytesEach = 40;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "dlock-crowd-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function crowd(url: string, count: number, scene: string): Promise<CrowdReport> {
  const { stdout } = await promisify(execFile)(process.execPath, ["--expose-gc", program, url, String(count), scene], { timeout: 150_000 });
  const report: CrowdReport = JSON.parse(stdout);
  const { bytesEach, bytesLeftEach, loopDelayP99Ms } = report;
  console.log(`${count} ${scene}: ${bytesEach} bytes each, ${bytesLeftEach} left, event loop late by ${loopDelayP99Ms} ms (p99)`);
  return report;
}

describe.each([
  ["memory", 100_000, (): string => "memory:crowd"],
  ["sqlite", 5_000, (): string => `sqlite:${encodeURI(join(folder, "crowd.db"))}`],
] as const)("on %s, %i locks", (_backend, count, url) => {
  test.each(scenes)("%s leave nothing behind", { timeout: 160_000 }, async (scene) => {
    const { ended, active, waiting, listeners, warnings, bytesEach, bytesLeftEach } = await crowd(url(), count, scene);
    expect({ ended, active, waiting, listeners, warnings }).toEqual({ ended: count, active: 0, waiting: 0, listeners: 0, warnings: [] });
    expect(bytesEach).toBeGreaterThan(100);
    expect(bytesLeftEach * count).toBeLessThan(slackBytes + slackBytesEach * count);
  });
});
