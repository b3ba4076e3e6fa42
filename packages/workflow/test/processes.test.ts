/** Replicas that are killed and stopped race for executions over one SQLite file, Redis and etcd. */
import { join } from "node:path";
import { startEtcd, startRedis } from "@dlock-tooling/services";
import { describe, onTestFinished, test } from "vitest";
import { race } from "./support/race.ts";

async function urlOf(starting: Promise<{ url: string; stop(): Promise<void> }>): Promise<string> {
  const server = await starting;
  onTestFinished(() => server.stop());
  return server.url;
}

const backends = [
  { name: "SQLite", executions: 500, start: (folder: string) => `sqlite:${join(folder, "locks.db")}?synchronous=normal` },
  { name: "Redis", executions: 200, start: () => urlOf(startRedis()) },
  { name: "etcd", executions: 200, start: async () => (await urlOf(startEtcd())).replace("http:", "etcd:") },
];

describe.for(backends)("$executions executions over $name", ({ executions, start }) => {
  test(
    "every execution has its effect exactly once, no template exceeds its limit, and no lock outlives its TTL",
    {
      timeout: 120_000,
    },
    () => race(executions, start),
  );
});
