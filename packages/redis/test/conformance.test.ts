// The driver against the whole contract, on a single server: one client opens its own connection, the other uses one of the user's.
import { runConformance } from "@dlock/core/conformance";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, it } from "vitest";
import { redisDriver } from "../src/index.ts";
import { type Server, useRedis } from "./servers.ts";

let server: Server;
let client: Redis;

beforeAll(async () => {
  server = await useRedis();
  client = new Redis(server.url, { enableAutoPipelining: true, keyPrefix: "mine:" });
});

afterAll(async () => {
  client.disconnect();
  await server.stop();
});

runConformance(
  { describe, it, concurrent: it.concurrent, afterAll },
  {
    create: () => redisDriver({ url: server.url, prefix: server.prefix }),
    createSecond: () => redisDriver({ client, prefix: server.prefix }),
    countRecords: async () => {
      // The user's own prefix would be put in front of the pattern by KEYS, but not by SCAN through a duplicate without one.
      const plain = new Redis(server.url);
      try {
        return (await plain.keys(`${server.prefix}*`)).length;
      } finally {
        plain.disconnect();
      }
    },
  },
);
