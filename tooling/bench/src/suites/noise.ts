/** How far apart two who do the very same thing come out: what a ratio must differ from 1 by to mean anything. */
import { startRedis } from "@dlock-tooling/services";
import { Mutex } from "async-mutex";
import type { Contest, Contestant, Size } from "../contest.js";
import { contestant, nothing } from "../locker.js";
import { floorByHand } from "../lockers/redis.js";
import { repeated } from "../work.js";

export async function* noiseContests({ forMs }: Size): AsyncIterable<Contest> {
  const twice = async (make: () => Contestant | Promise<Contestant>): Promise<Contestant[]> => [
    await make(),
    { ...(await make()), name: "the same again" },
  ];
  yield {
    title: "noise, async-mutex and again, distinct keys, 1 at once",
    unit: "cycles/s",
    better: "more",
    contestants: () =>
      twice(() => ({
        name: "async-mutex runExclusive",
        round: () => repeated({ tasks: 1, forMs, timeEvery: 32 }, () => new Mutex().runExclusive(nothing)),
      })),
  };
  const server = await startRedis();
  try {
    for (const tasks of [1, 16, 256]) {
      yield {
        title: `noise, the floor of Redis and again, distinct keys, ${tasks} at once`,
        unit: "cycles/s",
        better: "more",
        contestants: () => twice(() => contestant(floorByHand, server.url, { tasks, forMs, keyOf: (unit) => `key ${unit}` })),
      };
    }
  } finally {
    await server.stop();
  }
}
