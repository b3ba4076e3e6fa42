/** The whole contract on the real server: with connections of the driver's own, and out of the application's pool. */
import { runConformance } from "@dlock/core/conformance";
import { createPool } from "mysql2";
import { afterAll, describe, it } from "vitest";
import { mysqlDriver } from "../src/index.ts";
import { cell, newTable, observer, serverUrl } from "./servers.ts";

const url = await serverUrl();
const watcher = observer(url);

function records(table: string): () => Promise<number> {
  return async () => Number(await cell(watcher, `SELECT (SELECT COUNT(*) FROM ${table}) + (SELECT COUNT(*) FROM ${table}_shared)`));
}

describe("with connections of its own", () => {
  const table = newTable();
  runConformance(
    { describe, it, concurrent: it.concurrent, afterAll },
    { create: () => mysqlDriver({ url, table }), countRecords: records(table) },
  );
});

describe("with the application's pool", () => {
  const table = newTable();
  // Everything an application may have set that could change what the driver reads or sends.
  const pool = createPool({
    uri: url,
    timezone: "+05:30",
    dateStrings: true,
    supportBigNumbers: true,
    bigNumberStrings: true,
    decimalNumbers: true,
    namedPlaceholders: true,
    nestTables: "_",
    flags: ["-FOUND_ROWS"],
    typeCast: (_field, next) => `cast:${next()}`,
    charset: "latin1",
  } as Parameters<typeof createPool>[0]);
  pool.on("connection", (connection) => {
    connection.query("SET time_zone = 'America/New_York'", () => {});
    connection.query("SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,NO_UNSIGNED_SUBTRACTION'");
    connection.query("SET autocommit = 0, timestamp = 1");
    connection.query("SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE");
  });
  afterAll(() => new Promise<void>((resolve) => void pool.end(() => resolve())));
  runConformance(
    { describe, it, concurrent: it.concurrent, afterAll },
    { create: () => mysqlDriver({ pool, table }), countRecords: records(table) },
  );
});
