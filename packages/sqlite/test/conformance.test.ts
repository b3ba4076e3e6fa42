/** The contract's own suite, on a real file with two connections. */

import { runConformance } from "@dlock/core/conformance";
import Database from "better-sqlite3";
import { afterAll, describe, it } from "vitest";
import { sqliteDriver } from "../src/index.ts";
import { temporaryFile } from "./support/files.ts";

describe("on a path", () => {
  const path = temporaryFile();
  runConformance(
    { describe, it, concurrent: it.concurrent, afterAll },
    { create: () => sqliteDriver(path), countRecords: () => countRows(path) },
  );
});

describe("on the caller's own connections", () => {
  const path = temporaryFile();
  const databases: Database.Database[] = [];
  const create = () => {
    const database = new Database(path);
    database.pragma("journal_mode = WAL");
    databases.push(database);
    return sqliteDriver({ database });
  };
  runConformance({ describe, it, concurrent: it.concurrent, afterAll }, { create, countRecords: () => countRows(path) });
  afterAll(() => {
    for (const database of databases) database.close();
  });
});

function countRows(path: string): number {
  const db = new Database(path);
  try {
    return Number(db.prepare("SELECT (SELECT count(*) FROM dlock_leases) + (SELECT count(*) FROM dlock_meta)").pluck().get());
  } finally {
    db.close();
  }
}
