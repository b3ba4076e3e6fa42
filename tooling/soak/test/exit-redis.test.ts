/** Processes with locks in Redis end after close(). */
import { startRedis, startRedisCluster } from "@dlock-tooling/services";
import { afterAll, beforeAll, describe, test } from "vitest";
import { endsWhateverHappens, expectEnd, ofOne, states } from "./support/exit.ts";

endsWhateverHappens("redis", () => ofOne(startRedis()));

describe("a process with a Redis Cluster", () => {
  let cluster: Awaited<ReturnType<typeof startRedisCluster>>;
  beforeAll(async () => {
    cluster = await startRedisCluster();
  }, 60_000);
  afterAll(() => cluster.stop());

  test.each(states)("that is %s ends after close()", { timeout: 60_000 }, async (state) => {
    await expectEnd(`${cluster.nodes[0]?.url}?cluster=true`, state);
  });
});
