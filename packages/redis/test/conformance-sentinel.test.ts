// The driver against the whole contract on a master that Sentinels watch.
import { runConformance } from "@dlock/core/conformance";
import { type RedisSentinel, startRedisSentinel } from "@dlock-tooling/services";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, it } from "vitest";
import { redisDriver } from "../src/index.ts";

let servers: RedisSentinel;
let client: Redis;

beforeAll(async () => {
  servers = await startRedisSentinel();
  client = new Redis({ sentinels: servers.sentinels.map(({ host, port }) => ({ host, port })), name: servers.name, protocol: 2 });
}, 60_000);

afterAll(async () => {
  client.disconnect();
  await servers.stop();
});

runConformance(
  { describe, it, concurrent: it.concurrent, afterAll },
  {
    create() {
      const [first, second] = servers.sentinels;
      return redisDriver({ url: `${first?.url}?sentinel=${servers.name}&node=127.0.0.1:${second?.port}` });
    },
    createSecond: () => redisDriver({ client }),
  },
);
