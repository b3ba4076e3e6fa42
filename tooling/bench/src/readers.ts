/** Readers that share a key while a writer wants it now and then. */
import { createLockProvider } from "@dlock/core";
import { redisDriver } from "@dlock/redis";
import type { Contest, Contestant } from "./contest.js";
import { dlock, oneMs } from "./locker.js";
import { redisPeers } from "./lockers/redis.js";
import { clientCpu, each, latency, type Meter, metered } from "./work.js";

const readers = 16;

/** Readers' sections a second beside one writer that comes again and again. */
export function readersAndWriter(url: string, forMs: number, meter: Meter): Contest {
  return {
    title: `redis, ${readers} readers and a writer, sections of 1 ms`,
    unit: "readers' sections/s",
    better: "more",
    contestants: async () => [await reading(url, forMs, "exclusive", meter), await reading(url, forMs, "shared", meter)],
    absent: Object.fromEntries(redisPeers.map(({ name }) => [name, "has no shared mode"])),
  };
}

async function reading(url: string, forMs: number, mode: "exclusive" | "shared", meter: Meter): Promise<Contestant> {
  const locks = createLockProvider(redisDriver({ url }), { waitMs: 120_000 });
  const again = async (hold: "exclusive" | "shared", until: number, done: (waitedMs: number, tookMs: number) => void) => {
    for (let from = performance.now(); from < until; from = performance.now()) {
      const lock = await locks.lock(`document for ${mode} readers`, { mode: hold });
      const waitedMs = performance.now() - from;
      await oneMs();
      await lock.unlock();
      done(waitedMs, performance.now() - from);
    }
  };
  return {
    name: mode === "shared" ? dlock : `${dlock}, readers exclusive too`,
    settings: `readers' mode ${JSON.stringify(mode)}`,
    async round() {
      const reads: number[] = [];
      let written = 0;
      let longestMs = 0;
      const cpu = process.cpuUsage();
      const wrote = (waitedMs: number) => {
        written++;
        longestMs = Math.max(longestMs, waitedMs);
      };
      const { done: seconds, counts } = await metered(meter, async () => {
        const start = performance.now();
        const until = start + forMs;
        const reader = () => again(mode, until, (_, tookMs) => reads.push(tookMs));
        await Promise.all([...Array.from({ length: readers }, reader), again("exclusive", until, wrote)]);
        return (performance.now() - start) / 1_000;
      });
      const { user, system } = process.cpuUsage(cpu);
      const all = reads.length + written;
      return {
        figure: reads.length / seconds,
        besides: {
          "writer's sections/s": written / seconds,
          "writer's longest wait ms": longestMs,
          ...latency(reads),
          [clientCpu]: (user + system) / all,
          ...each(counts, all),
        },
      };
    },
    close: () => locks.close(),
  };
}
