/** Many processes on one file: nothing is lost and nobody starves. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { temporaryFolder } from "./support/files.ts";
import { Peer } from "./support/process.ts";

it("eight processes make 20,000 increments, none is lost, and the slowest makes at least a fifth of the fastest's", {
  timeout: 180_000,
}, async () => {
  const folder = temporaryFolder();
  const counter = join(folder, "counter");
  writeFileSync(counter, new BigInt64Array(1));
  const peers = await Promise.all(Array.from({ length: 8 }, () => Peer.start(join(folder, "locks.db"))));
  const counts: number[] = await Promise.all(peers.map((peer) => peer.call("increment", counter, 20_000)));
  expect(readFileSync(counter).readBigInt64LE()).toBe(20_000n);
  expect(counts.reduce((sum, count) => sum + count)).toBe(20_000);
  expect(Math.max(...counts)).toBeLessThanOrEqual(5 * Math.min(...counts));
});
