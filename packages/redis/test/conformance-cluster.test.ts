// The driver against the whole contract on a Cluster of three masters: one client opens its own connections, the other uses the user's.
import { runConformance } from "@dlock/core/conformance";
import { type RedisCluster, startRedisCluster } from "@dlock-tooling/services";
import { Cluster, Redis } from "ioredis";
import { afterAll, beforeAll, describe, it } from "vitest";
import { redisDriver } from "../src/index.ts";

let servers: RedisCluster;
let client: Cluster;

beforeAll(async () => {
  servers = await startRedisCluster();
  client = new Cluster([{ host: "127.0.0.1", port: servers.nodes[1]?.port as number }], { enableAutoPipelining: true });
}, 60_000);

afterAll(async () => {
  client.disconnect();
  await servers.stop();
});

runConformance(
  { describe, it, concurrent: it.concurrent, afterAll },
  {
    create: () => redisDriver({ url: `${servers.nodes[0]?.url}?cluster=true&node=127.0.0.1:${servers.nodes[2]?.port}` }),
    createSecond: () => redisDriver({ client }),
    async countRecords() {
      let count = 0;
      for (const { url } of servers.nodes.slice(0, 3)) {
        const node = new Redis(url);
        count += (await node.keys("lock:*")).length;
        node.disconnect();
      }
      return count;
    },
  },
);
