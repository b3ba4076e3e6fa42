/** The locks of workflows on Redis. */
import { backend } from "@dlock/redis";
import { type Service, startRedis } from "@dlock-tooling/services";
import { afterAll, beforeAll } from "vitest";
import { workflowSuite } from "./support/suite.ts";

let server: Service;
beforeAll(async () => {
  server = await startRedis();
}, 60_000);
afterAll(() => server.stop());

workflowSuite("redis", backend, () => server.url);
