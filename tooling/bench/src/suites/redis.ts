/** Locks in Redis, against two commands by hand and the peers. */
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { startProxy } from "@dlock-tooling/faults";
import { startRedis } from "@dlock-tooling/services";
import { Redis } from "ioredis";
import { type Contest, type Contestant, quantile, type Size } from "../contest.js";
import { contestant, dlock, drainer, nothing, oneMs, type Recipe, sectionsAlone } from "../locker.js";
import { dlockOnRedis, floorByHand, redisPeers, semaphores } from "../lockers/redis.js";
import { redisMeter } from "../meters.js";
import { crowd, handOver, start, stop } from "../processes.js";
import { readersAndWriter } from "../readers.js";
import { renewalOnRedis } from "../renewal.js";

const best = { bestBut: dlock };

export async function* redisContests({ forMs, held }: Size): AsyncIterable<Contest> {
  const server = await startRedis();
  const { url } = server;
  const admin = new Redis(url);
  const meter = ({ sends = [] }: Recipe) => redisMeter(admin, sends);
  const all = [floorByHand, dlockOnRedis, ...redisPeers];
  const polled = [dlockOnRedis, ...redisPeers];
  try {
    for (const [tasks, ratio] of [
      [1, 0.95],
      [16, 1.25],
      [256, 3],
    ] as const) {
      yield {
        title: `redis, distinct keys, ${tasks} at once`,
        unit: "cycles/s",
        better: "more",
        at: tasks,
        contestants: async () =>
          each(all, (recipe) => contestant(recipe, url, { tasks, forMs, keyOf: (unit) => `key ${unit}`, meter: meter(recipe) })),
        targets: [{ name: dlock, atLeast: ratio }, ...(tasks === 256 ? [{ name: dlock, of: "client CPU µs", atMost: 0.25 }] : [])],
      };
    }
    for (const tasks of [2, 16, 64]) {
      yield {
        title: `redis, one key, ${tasks} waiters in one process`,
        unit: "sections/s",
        better: "more",
        at: tasks,
        against: best,
        contestants: () => each(polled, (recipe) => contestant(recipe, url, { tasks, forMs, meter: meter(recipe) })),
        targets:
          tasks === 16
            ? [
                { name: dlock, atLeast: 20 },
                { name: dlock, of: "commands a section", as: "value", atMost: 0.2 },
              ]
            : [],
        absent: { [floorByHand.name]: "does not wait" },
      };
    }
    for (const count of [2, 4]) {
      yield {
        title: `redis, one key, ${count} processes × 16 waiters`,
        unit: "sections/s",
        better: "more",
        against: best,
        contestants: async () =>
          each(polled, (recipe) => crowd("redis", recipe, url, { count, waiters: 16, forMs: 2 * forMs, meter: meter(recipe) })),
        ...(count === 4
          ? {
              targets: [
                { name: dlock, atLeast: 8 },
                { name: dlock, of: "fairness (Jain)", as: "value", atLeast: 0.9 },
                { name: dlock, of: "longest wait ms", as: "value", atMost: 150 },
              ],
            }
          : {}),
        absent: { [floorByHand.name]: "does not wait" },
      };
    }
    yield {
      title: "redis, hand-over between two processes, p50",
      unit: "ms",
      better: "less",
      contestants: async () => [
        await publishLatency(url, forMs),
        ...(await each(polled, (recipe) => handOver("redis", recipe, url, 2 * forMs, meter(recipe)))),
      ],
      targets: [{ name: dlock, atMost: 2 }],
      absent: { [floorByHand.name]: "does not wait" },
    };
    yield {
      title: "redis, drain of 64 waiters with sections of 1 ms",
      unit: "ms",
      better: "less",
      contestants: async () => [
        sectionsAlone(64, forMs),
        ...(await each(polled, (recipe) => drainer(recipe, url, { tasks: 64, forMs, meter: meter(recipe) }))),
      ],
      targets: [{ name: dlock, atMost: 1.15 }],
      absent: { [floorByHand.name]: "does not wait" },
    };
    yield {
      ...renewalOnRedis(url, held, redisMeter(admin, [...(dlockOnRedis.sends ?? [])])),
      absent: Object.fromEntries(redisPeers.map(({ name }) => [name, "a command for each lock at best, like the floor"])),
    };
    yield {
      title: "redis, semaphore of 8 with 32 waiters, sections of 1 ms",
      unit: "sections/s",
      better: "more",
      contestants: async () =>
        each(semaphores(8), (recipe) =>
          contestant(recipe, url, {
            tasks: 32,
            forMs,
            keyOf: () => "semaphore",
            section: oneMs,
            meter: meter(recipe),
          }),
        ),
      absent: Object.fromEntries(
        redisPeers.filter(({ name }) => !name.startsWith("redis-semaphore")).map(({ name }) => [name, "has no semaphore"]),
      ),
    };
    yield readersAndWriter(url, forMs, meter(dlockOnRedis));
    const proxy = await startProxy(server);
    proxy.delay(50);
    try {
      const far = proxy.through(url);
      yield {
        title: "redis, 100 ms away, distinct keys, 16 at once",
        unit: "cycles/s",
        better: "more",
        contestants: async () =>
          each(all, (recipe) => contestant(recipe, far, { tasks: 16, forMs, keyOf: (unit) => `far ${unit}`, meter: meter(recipe) })),
      };
      yield {
        title: "redis, 100 ms away, one key, 4 waiters in one process",
        unit: "sections/s",
        better: "more",
        against: best,
        contestants: () => each(polled, (recipe) => contestant(recipe, far, { tasks: 4, forMs, meter: meter(recipe) })),
        absent: { [floorByHand.name]: "does not wait" },
      };
    } finally {
      await proxy.close();
    }
  } finally {
    admin.disconnect();
    await server.stop();
  }
}

function each(recipes: readonly Recipe[], make: (recipe: Recipe) => Promise<Contestant>): Promise<Contestant[]> {
  return Promise.all(recipes.map(make));
}

/** How long a message takes from a publisher to another process: no hand-over that the server tells of can be faster. */
async function publishLatency(url: string, forMs: number): Promise<Contestant> {
  const publisher = new Redis(url);
  const [echo] = await start(1, "echo-worker.js", [url]);
  if (echo === undefined) throw new Error("no process was started");
  const published = async (ms: number, pause: (count: number) => Promise<void>) => {
    const latencies: number[] = [];
    for (const end = performance.now() + ms; performance.now() < end; await pause(latencies.length)) {
      const arrival = once(echo, "message") as Promise<[number]>;
      const sentAt = Number(process.hrtime.bigint()) / 1e6;
      await publisher.publish("bench", "1");
      const [arrivedAt] = await arrival;
      latencies.push(arrivedAt - sentAt);
    }
    return latencies;
  };
  return {
    name: "PUBLISH to message",
    async round() {
      // As long as the sections of a hand-over: the longer a core rests, the longer it takes to wake.
      const latencies = await published(forMs, (count) => sleep(3 + (count % 11)));
      return { figure: quantile(latencies, 0.5), besides: { "p99 ms": quantile(latencies, 0.99) } };
    },
    warmUp: () => published(5 * forMs, nothing),
    async close() {
      publisher.disconnect();
      await stop([echo]);
    },
  };
}
