/** Keeping 10,000 locks alive: what one renewal of all of them costs. */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { createLockProvider, type LockDriver, type LockProvider } from "@dlock/core";
import { redisDriver } from "@dlock/redis";
import { Redis } from "ioredis";
import type { Contest, Contestant, Round } from "./contest.js";
import { counted } from "./counting.js";
import { dlock } from "./locker.js";
import { type Counts, type Meter, metered, together } from "./work.js";

/** Short, so that a round need not wait long for its renewal. */
const ttlMs = 6_000;

/**
 * Holds `count` locks; a round is one renewal of all of them, from the first call for it on.
 *
 * @param meter what the server counts; told for a whole renewal.
 */
export async function renewal(driver: LockDriver, count: number, settings: string, meter?: Meter): Promise<Contestant> {
  let begun = () => {};
  const locks = createLockProvider(counted(driver, () => begun()).driver, { ttlMs, waitMs: 120_000 });
  const handles: unknown[] = [];
  await together(256, count, async (unit) => handles.push(await locks.lock(`held ${unit}`)));
  await renewedTo(locks, count);
  return {
    name: dlock,
    settings,
    async round() {
      // All fall due together; what is left of the last time must not be counted with this one.
      await sleep(ttlMs / 12);
      const goal = locks.stats().refreshCount + count;
      const watch = new LoopWatch();
      let isBegun = false;
      begun = () => {
        begun = () => {};
        isBegun = true;
        watch.start();
      };
      const { done, counts } = await metered(meter, async () => {
        // Renewal keeps no process alive, so somebody has to.
        while (!isBegun) await sleep(5);
        await renewedTo(locks, goal);
        return watch.end();
      });
      if (locks.stats().lost > 0 || locks.stats().active !== count) throw new Error("locks were lost while they were renewed");
      return withCounts(done, counts);
    },
    async close() {
      handles.length = 0;
      await locks.close();
    },
  };
}

async function renewedTo(locks: LockProvider, count: number): Promise<void> {
  while (locks.stats().refreshCount < count) await sleep(5);
}

/** The CPU time that this process spends, in ms, and the longest time that its event loop could do nothing else meanwhile. */
class LoopWatch {
  readonly #delays = monitorEventLoopDelay({ resolution: 1 });
  #cpu = process.cpuUsage();

  constructor() {
    this.#delays.enable();
  }

  start(): void {
    this.#delays.reset();
    this.#cpu = process.cpuUsage();
  }

  async end(): Promise<Round> {
    const { user, system } = process.cpuUsage(this.#cpu);
    // A stall is seen when it is over.
    await sleep(5);
    this.#delays.disable();
    return { figure: (user + system) / 1_000, besides: { "longest stall ms": Math.max(this.#delays.max / 1e6 - 1, 0) } };
  }
}

export function renewalOnRedis(url: string, count: number, meter: Meter): Contest {
  return {
    title: `redis, ${count.toLocaleString("en-US")} held locks renewed once`,
    unit: "ms of client CPU",
    better: "less",
    contestants: async () => [await oneCommandEach(url, count, meter), await renewal(redisDriver({ url }), count, `ttlMs ${ttlMs}`, meter)],
    targets: [
      { name: dlock, atMost: 0.25 },
      { name: dlock, of: "longest stall ms", as: "value", atMost: 10 },
    ],
  };
}

function withCounts({ figure, besides }: Round, counts: Counts): Round {
  return { figure, besides: { ...besides, ...counts } };
}

async function oneCommandEach(url: string, count: number, meter: Meter): Promise<Contestant> {
  const client = new Redis(url);
  const script = 'if redis.call("get", KEYS[1]) == ARGV[1] then return redis.call("pexpire", KEYS[1], ARGV[2]) else return 0 end';
  const sha = (await client.script("LOAD", script)) as string;
  const keys = Array.from({ length: count }, (_, index) => `one by one ${index}`);
  await Promise.all(keys.map((key) => client.set(key, "mine", "PX", 600_000)));
  return {
    name: "one EVALSHA each, sent at once",
    settings: "ioredis, compare and PEXPIRE",
    async round() {
      const watch = new LoopWatch();
      await sleep(5);
      const { done, counts } = await metered(meter, async () => {
        watch.start();
        await Promise.all(keys.map((key) => client.evalsha(sha, 1, key, "mine", 600_000)));
        return watch.end();
      });
      return withCounts(done, counts);
    },
    close: () => client.disconnect(),
  };
}
