/** One of two processes that take the same key in turn: argv is the file and the way to wait for it. */
import { setTimeout as sleep } from "node:timers/promises";
import { createLockProvider, fixedInterval } from "@dlock/core";
import { sqliteDriver } from "@dlock/sqlite";

const [path = "", how = ""] = process.argv.slice(2);
const driver = sqliteDriver(path);
const polling = how !== "dlock";
// Without its watch, a driver is asked again every 10 ms: what people write by hand.
const { watch: _, ...unwatched } = driver;
const locks = createLockProvider(polling ? { ...unwatched, capabilities: { ...driver.capabilities, watch: false } } : driver, {
  handOff: false,
  waitMs: 60_000,
  ...(polling ? { retry: fixedInterval(10) } : {}),
});

process.on("message", ({ turns }: { turns: number }) => {
  void play(turns).then((moments) => process.send?.(moments));
});
process.on("disconnect", () => void locks.close());
process.send?.("ready");

async function play(turns: number): Promise<unknown[]> {
  const moments: unknown[] = [];
  for (let turn = 0; turn < turns; turn++) {
    const lock = await locks.lock("key");
    moments.push({ what: "granted", pid: process.pid, at: now() });
    // Long enough for the other one to be waiting.
    await sleep(2);
    moments.push({ what: "released", pid: process.pid, at: now() });
    await lock.unlock();
  }
  return moments;
}

function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
