/** Readers that share a key while a writer wants it now and then. */
import { createLockProvider } from "@dlock/core";
import { redisDriver } from "@dlock/redis";
import type { Contest, Contestant } from "./contest.js";
import { dlock, oneMs } from "./locker.js";
import { redisPeers } from "./lockers/redis.js";

const readers = 16;

/** Readers' sections a second beside one writer that comes again and again. */
export function readersAndWriter(url: string, forMs: number): Contest {
  return {
    title: `redis, ${readers} readers and a writer, sections of 1 ms`,
    unit: "readers' sections/s",
    better: "more",
    contestants: async () => [await reading(url, forMs, "exclusive"), await reading(url, forMs, "shared")],
    absent: Object.fromEntries(redisPeers.map(({ name }) => [name, "has no shared mode"])),
  };
}

async function reading(url: string, forMs: number, mode: "exclusive" | "shared"): Promise<Contestant> {
  const locks = createLockProvider(redisDriver({ url }), { waitMs: 120_000 });
  const again = async (hold: "exclusive" | "shared", until: number, done: (waitedMs: number) => void) => {
    for (let from = performance.now(); from < until; from = performance.now()) {
      const lock = await locks.lock(`document for ${mode} readers`, { mode: hold });
      done(performance.now() - from);
      await oneMs();
      await lock.unlock();
    }
  };
  return {
    name: mode === "shared" ? dlock : `${dlock}, readers exclusive too`,
    settings: `readers' mode ${JSON.stringify(mode)}`,
    async round() {
      let read = 0;
      let written = 0;
      let longestMs = 0;
      const start = performance.now();
      const until = start + forMs;
      const wrote = (waitedMs: number) => {
        written++;
        longestMs = Math.max(longestMs, waitedMs);
      };
      await Promise.all([...Array.from({ length: readers }, () => again(mode, until, () => read++)), again("exclusive", until, wrote)]);
      const seconds = (performance.now() - start) / 1_000;
      return { figure: read / seconds, besides: { "writer's sections/s": written / seconds, "writer's longest wait ms": longestMs } };
    },
    close: () => locks.close(),
  };
}
