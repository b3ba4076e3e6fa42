/** The locks of workflows on MariaDB. */
import { backend } from "@dlock/mysql";
import { type MysqlService, startMysql } from "@dlock-tooling/services";
import { afterAll, beforeAll } from "vitest";
import { workflowSuite } from "./support/suite.ts";

let server: MysqlService;
beforeAll(async () => {
  server = await startMysql();
}, 60_000);
afterAll(() => server.stop());

workflowSuite("mysql", backend, () => server.url);
