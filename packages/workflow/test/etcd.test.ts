/** The locks of workflows on etcd. */
import { backend } from "@dlock/etcd";
import { type EtcdCluster, startEtcd } from "@dlock-tooling/services";
import { afterAll, beforeAll } from "vitest";
import { workflowSuite } from "./support/suite.ts";

let server: EtcdCluster;
beforeAll(async () => {
  server = await startEtcd();
}, 60_000);
afterAll(() => server.stop());

workflowSuite("etcd", backend, () => server.url.replace("http:", "etcd:"));
