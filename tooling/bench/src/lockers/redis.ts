/** Ways to hold a key in Redis: the least that can be done by hand, dlock, and the peers. Each opens one client of ioredis with its defaults. */
import { randomBytes } from "node:crypto";
import { createRequire } from "node:module";
import { createLockProvider } from "@dlock/core";
import { redisDriver } from "@dlock/redis";
import { redisStore } from "@verrou/core/drivers/redis";
import { Redis } from "ioredis";
import { createLock, IoredisAdapter } from "redlock-universal";
import type { Locker, Recipe } from "../locker.js";

// CommonJS packages whose named exports or types an ES module cannot see.
const require = createRequire(import.meta.url);

/**
 * How often peers that poll ask again: far more often than by default. Of 1, 2, 5, 10 and 20 ms these gave the most sections a second with 16 and
 * with 64 waiters together; longer ones help some with 16, since whoever holds the key then keeps it for itself.
 */
const pollMs = 5;
const verrouPollMs = 2;
const ttlMs = 30_000;
const plenty = 1_000_000;

const releaseScript = 'if redis.call("get", KEYS[1]) == ARGV[1] then return redis.call("del", KEYS[1]) else return 0 end';

const dlockSends = ["evalsha", "eval", "subscribe", "unsubscribe"];

export const floorByHand: Recipe = {
  name: "ioredis, SET NX PX and EVALSHA by hand",
  settings: "one command each; no waiting: for distinct keys only",
  sends: ["set", "evalsha"],
  async open(url) {
    const client = new Redis(url);
    const sha = (await client.script("LOAD", releaseScript)) as string;
    return {
      async hold(key, section) {
        const value = randomBytes(16).toString("hex");
        if ((await client.set(key, value, "PX", ttlMs, "NX")) !== "OK") throw new Error(`${key} is held`);
        await section();
        if ((await client.evalsha(sha, 1, key, value)) !== 1) throw new Error(`${key} was lost`);
      },
      close: () => end(client),
    };
  },
};

export const dlockOnRedis: Recipe = {
  name: "dlock",
  settings: "defaults; the user's ioredis client",
  sends: dlockSends,
  async open(url) {
    const client = new Redis(url);
    const locks = createLockProvider(redisDriver({ client }), { ttlMs, waitMs: 120_000 });
    return {
      async hold(key, section) {
        const lock = await locks.lock(key);
        await section();
        await lock.unlock();
      },
      async close() {
        await locks.close();
        await end(client);
      },
    };
  },
};

interface RedlockLike {
  acquire(resources: string[], durationMs: number): Promise<{ release(): Promise<unknown> }>;
}
type RedlockClass = new (clients: Redis[], settings: Readonly<Record<string, number>>) => RedlockLike;

function redlock(name: string, load: () => Promise<RedlockClass>): Recipe {
  return {
    name,
    settings: `retryDelay ${pollMs}, retryJitter ${pollMs / 2}, retryCount ${plenty}`,
    sends: ["evalsha", "eval"],
    async open(url) {
      const client = new Redis(url);
      const locks = new (await load())([client], { retryDelay: pollMs, retryJitter: pollMs / 2, retryCount: plenty });
      return {
        async hold(key, section) {
          const lock = await locks.acquire([key], ttlMs);
          await section();
          await lock.release();
        },
        close: () => end(client),
      };
    },
  };
}

interface RedisSemaphoreModule {
  Mutex: new (client: Redis, key: string, options: Readonly<Record<string, number>>) => Mutex;
  Semaphore: new (client: Redis, key: string, limit: number, options: Readonly<Record<string, number>>) => Mutex;
}
interface Mutex {
  acquire(): Promise<void>;
  release(): Promise<void>;
}

const semaphoreOptions = { lockTimeout: ttlMs, acquireTimeout: 120_000, retryInterval: pollMs };

const redisSemaphore: Recipe = {
  name: "redis-semaphore Mutex",
  settings: `lockTimeout ${ttlMs}, retryInterval ${pollMs}`,
  sends: ["set", "evalsha", "eval"],
  open: async (url) => {
    const { Mutex } = require("redis-semaphore") as RedisSemaphoreModule;
    return withMutex(url, (client, key) => new Mutex(client, key, semaphoreOptions));
  },
};

function withMutex(url: string, make: (client: Redis, key: string) => Mutex): Locker {
  const client = new Redis(url);
  return {
    async hold(key, section) {
      const mutex = make(client, key);
      await mutex.acquire();
      await section();
      await mutex.release();
    },
    close: () => end(client),
  };
}

const verrou: Recipe = {
  name: "@verrou/core",
  settings: `retry delay ${verrouPollMs}`,
  sends: ["set", "eval"],
  async open(url) {
    const { LockFactory } = await import("@verrou/core");
    const client = new Redis(url);
    // Its types ask for ioredis 5.
    const store = redisStore({ connection: client as never }).factory();
    const factory = new LockFactory(store, { retry: { delay: verrouPollMs } });
    return {
      async hold(key, section) {
        const lock = factory.createLock(key, ttlMs);
        if (!(await lock.acquire())) throw new Error(`${key} is held`);
        await section();
        await lock.release();
      },
      close: () => end(client),
    };
  },
};

const universal: Recipe = {
  name: "redlock-universal",
  settings: `performance "lean", retryDelay ${pollMs}, retryAttempts ${plenty}`,
  sends: ["set", "evalsha", "eval"],
  async open(url) {
    const client = new Redis(url);
    const adapter = new IoredisAdapter(client);
    return {
      async hold(key, section) {
        const lock = createLock({ adapter, key, ttl: ttlMs, retryAttempts: plenty, retryDelay: pollMs, performance: "lean" });
        const handle = await lock.acquire();
        await section();
        await lock.release(handle);
      },
      close: () => end(client),
    };
  },
};

export const redisPeers: readonly Recipe[] = [
  // @ts-expect-error its manifest does not lead to its types
  redlock("redlock 5 beta", async () => (await import("redlock")).default as unknown as RedlockClass),
  redlock("@sesamecare-oss/redlock", async () => (require("@sesamecare-oss/redlock") as { Redlock: RedlockClass }).Redlock),
  redisSemaphore,
  verrou,
  universal,
];

/** Semaphores: up to `limit` holders at once. */
export function semaphores(limit: number): readonly Recipe[] {
  return [
    {
      name: "redis-semaphore Semaphore",
      settings: `lockTimeout ${ttlMs}, retryInterval ${pollMs}`,
      sends: ["evalsha", "eval"],
      open: async (url) => {
        const { Semaphore } = require("redis-semaphore") as RedisSemaphoreModule;
        return withMutex(url, (client, key) => new Semaphore(client, key, limit, semaphoreOptions));
      },
    },
    {
      name: "dlock",
      settings: `mode "shared", limit ${limit}`,
      sends: dlockSends,
      async open(url) {
        const locks = createLockProvider(redisDriver({ url }), { ttlMs, waitMs: 120_000 });
        return {
          async hold(key, section) {
            const lock = await locks.lock(key, { mode: "shared", limit });
            await section();
            await lock.unlock();
          },
          close: () => locks.close(),
        };
      },
    },
  ];
}

async function end(client: Redis): Promise<void> {
  await client.quit();
}
