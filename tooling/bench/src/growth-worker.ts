/** A process that holds many keys and goes on with others: argv is the server, the address and how many. It tells what a held lock weighs. */
import { createLockProvider } from "@dlock/core";
import type { Round } from "./contest.js";
import { driverOf } from "./drivers.js";
import { repeated, together } from "./work.js";

const [server = "", url = "", held = ""] = process.argv.slice(2);
const count = Number(held);
const collect = globalThis.gc;
if (collect === undefined) throw new Error("start it with --expose-gc");

const locks = createLockProvider(await driverOf(server, url), { ttlMs: 600_000, waitMs: 120_000 });
const cycle = async (unit: number) => {
  const lock = await locks.lock(`further ${process.pid} ${unit}`);
  await lock.unlock();
};
// Connections, prepared statements and compiled code are no part of a lock.
await together(256, 5_000, cycle);
const handles = new Array<unknown>(count);
const before = weigh();
await together(256, count, async (unit) => {
  handles[unit] = await locks.lock(`held ${process.pid} ${unit}`);
});
const weight = (weigh() - before) / count;

process.on("message", async ({ forMs }: { forMs: number }) => {
  const { figure, besides } = await repeated({ tasks: 16, forMs, timeEvery: server === "memory" ? 32 : 1 }, cycle);
  if (locks.stats().active !== handles.length) throw new Error("a held lock is gone");
  // Below that the heap changes more for other reasons.
  const heap = count >= 10_000 ? { "heap bytes a held lock": weight } : {};
  process.send?.({ figure, besides: { ...heap, ...besides } } satisfies Round);
});
// The server goes as well: nobody needs a hundred thousand releases.
process.on("disconnect", () => process.exit());
process.send?.("ready");

function weigh(): number {
  collect?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
