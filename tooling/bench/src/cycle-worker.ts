/**
 * A process that counts what cycles cost it in bytes allocated and timers set: argv is the server, the address, how many cycles, how many at
 * once. `costOfCycle` starts it.
 */
import { createLockProvider, systemClock } from "@dlock/core";
import type { Cost } from "./cost.js";
import { driverOf } from "./drivers.js";
import { together } from "./work.js";

const [server = "", url = "", cycles = "", tasks = ""] = process.argv.slice(2);
const collect = globalThis.gc;
if (collect === undefined) throw new Error("start it with the options that belong to it");

let timers = 0;
const { setTimer } = systemClock;
systemClock.setTimer = (run, ms, keepAlive) => {
  timers++;
  return setTimer(run, ms, keepAlive);
};

const locks = createLockProvider(await driverOf(server, url), { sweepIntervalMs: 0, ttlMs: 600_000 });
const cycle = async (unit: number) => {
  const lock = await locks.lock(`key ${unit}`);
  await lock.unlock();
};
// Connections, prepared statements, compiled code and tables of their final size belong to no cycle.
await together(Number(tasks), Number(cycles), cycle);
collect();
const setBefore = timers;
const before = process.memoryUsage().heapUsed;
await together(Number(tasks), Number(cycles), cycle);
const bytes = (process.memoryUsage().heapUsed - before) / Number(cycles);
const cost: Cost = { bytes, timers: (timers - setBefore) / Number(cycles) };
await locks.close();
process.send?.(cost);
process.disconnect();
