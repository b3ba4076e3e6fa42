/** Replicas that are killed and stopped race for executions over MariaDB; in a file of its own to run beside the others. */
import { startMysql } from "@dlock-tooling/services";
import { onTestFinished, test } from "vitest";
import { race } from "./support/race.ts";

test(
  "every execution has its effect exactly once, no template exceeds its limit, and no lock outlives its TTL: 500 over MariaDB",
  {
    timeout: 120_000,
  },
  () =>
    race(500, async () => {
      const server = await startMysql();
      onTestFinished(() => server.stop());
      return server.url;
    }),
);
