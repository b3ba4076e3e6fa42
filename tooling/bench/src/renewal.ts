/** Keeping 10,000 locks alive: what one renewal of all of them costs. */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { createLockProvider, type LockDriver } from "@dlock/core";
import { redisDriver } from "@dlock/redis";
import { Redis } from "ioredis";
import type { Contest, Contestant, Round } from "./contest.js";
import { counted } from "./counting.js";
import { dlock } from "./locker.js";
import { type Counts, type Meter, metered, together } from "./work.js";

/** Short, so that a round need not wait long for its renewal. */
const ttlMs = 6_000;

/** The code of a renewal runs for seconds before it is compiled as well as it will be, and then for as long as the process lives. */
const warmUps = 5;

/**
 * Holds `count` locks; a round is one renewal of all of them, from the first call for it to the last answer.
 *
 * @param meter what the server counts; told for a whole renewal.
 */
export async function renewal(driver: LockDriver, count: number, settings: string, meter?: Meter): Promise<Contestant> {
  const begun = new Hook();
  const answered = new Hook();
  const { driver: inner } = counted(driver, () => begun.call());
  const telling = {
    ...inner,
    async extend(...asked: Parameters<LockDriver["extend"]>) {
      const outcomes = await inner.extend(...asked);
      // After the provider has heard them.
      setImmediate(() => answered.call());
      return outcomes;
    },
  };
  const locks = createLockProvider(telling, { ttlMs, waitMs: 120_000 });
  /** No polling: it would be counted with what is measured. */
  const renewedTo = async (goal: number) => {
    while (locks.stats().refreshCount < goal) await answered.next();
  };
  const handles: unknown[] = [];
  await together(256, count, async (unit) => handles.push(await locks.lock(`held ${unit}`)));
  await renewedTo(warmUps * count);
  return {
    name: dlock,
    settings,
    async round() {
      // All fall due together; what is left of the last time must not be counted with this one.
      await sleep(ttlMs / 12);
      const goal = locks.stats().refreshCount + count;
      const watch = new LoopWatch();
      const { done, counts } = await metered(meter, async () => {
        await begun.next(() => watch.start());
        await renewedTo(goal);
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

/** Something that happens again and again, and can be awaited. */
class Hook {
  #waiting: (() => void) | undefined;

  call(): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.();
  }

  /** @param run is called at once when it happens. */
  next(run?: () => void): Promise<void> {
    // Renewal keeps no process alive, so somebody has to.
    const alive = setInterval(() => {}, 60_000);
    return new Promise((resolve) => {
      this.#waiting = () => {
        clearInterval(alive);
        run?.();
        resolve();
      };
    });
  }
}

/** So often the event loop is looked at. Each look costs CPU time, which is counted with the rest. */
const lookMs = 5;

/** The CPU time that this process spends, in ms, and the longest time that its event loop could do nothing else meanwhile. */
class LoopWatch {
  readonly #delays = monitorEventLoopDelay({ resolution: lookMs });
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
    await sleep(2 * lookMs);
    this.#delays.disable();
    return { figure: (user + system) / 1_000, besides: { "longest stall ms": Math.max(this.#delays.max / 1e6 - lookMs, 0) } };
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
  const renewAll = () => Promise.all(keys.map((key) => client.evalsha(sha, 1, key, "mine", 600_000)));
  for (let i = 0; i < warmUps; i++) await renewAll();
  return {
    name: "one EVALSHA each, sent at once",
    settings: "ioredis, compare and PEXPIRE",
    async round() {
      const watch = new LoopWatch();
      await sleep(5);
      const { done, counts } = await metered(meter, async () => {
        watch.start();
        await renewAll();
        return watch.end();
      });
      return withCounts(done, counts);
    },
    close: () => client.disconnect(),
  };
}
