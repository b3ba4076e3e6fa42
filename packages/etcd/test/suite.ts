/** The whole contract on a real etcd; a file for each set-up, so that they run beside each other. */
import { runConformance } from "@dlock/core/conformance";
import etcd3 from "etcd3";
import { afterAll, beforeAll, describe, it } from "vitest";
import { etcdDriver } from "../src/index.ts";
import { type Servers, useEtcd } from "./helpers.ts";

export function conformance(members: 1 | 3, strategy: "txn" | "mutex"): void {
  describe(`etcd with ${members === 1 ? "one member" : "three members"}, strategy ${strategy}`, () => {
    let servers: Servers;
    let reader: InstanceType<typeof etcd3.Etcd3>;
    beforeAll(async () => {
      servers = await useEtcd(members);
      reader = new etcd3.Etcd3({ hosts: [...servers.hosts] });
    }, 60_000);
    afterAll(async () => {
      reader.close();
      await servers.stop();
    });
    runConformance(
      { describe, it, concurrent: it.concurrent, afterAll },
      {
        create: () => etcdDriver({ connection: { hosts: [...servers.hosts] }, prefix: servers.prefix, strategy }),
        // Keys, not leases: those end by themselves.
        countRecords: async () => (await reader.getAll().prefix(servers.prefix).keys()).length,
      },
    );
  });
}
