/** The whole contract on a real etcd; a file for each set-up, so that they run beside each other. */
import { runConformance } from "@dlock/core/conformance";
import { type EtcdCluster, startEtcd } from "@dlock-tooling/services";
import etcd3 from "etcd3";
import { afterAll, beforeAll, describe, it } from "vitest";
import { etcdDriver } from "../src/index.ts";

export function conformance(members: 1 | 3, strategy: "txn" | "mutex"): void {
  describe(`etcd with ${members === 1 ? "one member" : "three members"}, strategy ${strategy}`, () => {
    let cluster: EtcdCluster;
    let reader: InstanceType<typeof etcd3.Etcd3>;
    beforeAll(async () => {
      cluster = await startEtcd({ members });
      reader = new etcd3.Etcd3({ hosts: [...cluster.hosts] });
    }, 60_000);
    afterAll(async () => {
      reader.close();
      await cluster.stop();
    });
    runConformance(
      { describe, it, concurrent: it.concurrent, afterAll },
      {
        create: () => etcdDriver({ connection: { hosts: [...cluster.hosts] }, strategy }),
        // Keys, not leases: those end by themselves.
        countRecords: async () => (await reader.getAll().prefix("lock:").keys()).length,
      },
    );
  });
}
