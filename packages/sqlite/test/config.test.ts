/** SQLite locks from a configuration. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLockProviderFromConfig, registerBackend } from "@dlock/core";
import Database from "better-sqlite3";
import { afterAll, expect, test } from "vitest";
import { backend } from "../src/index.ts";

registerBackend("sqlite", backend);

const folder = mkdtempSync(join(tmpdir(), "dlock-config-"));
const file = join(folder, "locks.db");
afterAll(() => rmSync(folder, { recursive: true }));

const provide = (sqlite: object) => createLockProviderFromConfig({ provider: "sqlite", sqlite });

test("a file, a URL and an open database of one path exclude each other, and a database that was given stays open", async () => {
  await using byFile = await provide({ file, synchronous: "normal" });
  const held = await byFile.lock("key");
  const byUrl = await provide({ url: `sqlite:${file}?synchronous=normal` });
  const database = new Database(file);
  const byDatabase = await provide({ database });
  expect(await byUrl.tryLock("key")).toBeUndefined();
  expect(await byDatabase.tryLock("key")).toBeUndefined();
  await held.unlock();
  await byUrl.close();
  await byDatabase.close();
  expect(database.open).toBe(true);
  database.close();
});

test.each<[object, string]>([
  [{}, "config.sqlite.url is missing: config.sqlite needs one of url, file, database"],
  [{ path: file }, "config.sqlite.path is unknown: config.sqlite takes url, file, database, synchronous"],
  [{ file: 5 }, "config.sqlite.file must be a string, got a number"],
  [{ file: "" }, 'config.sqlite: file must be the path of a database file, not ""'],
  [{ file, synchronous: "off" }, 'config.sqlite: synchronous must be "full" or "normal", not "off"'],
  [{ url: `sqlite:${file}`, synchronous: "full" }, "config.sqlite.synchronous is a parameter of config.sqlite.url"],
  [{ url: "sqlite://localhost/dlock.db" }, "config.sqlite: a sqlite URL has no host"],
  [{ url: `sqlite:${file}`, file }, "config.sqlite.url and config.sqlite.file exclude each other: give one of them"],
])("the section %j is refused: %s", async (sqlite, message) => {
  await expect(provide(sqlite)).rejects.toThrow(message);
});

test("a file that cannot be opened is a clear error at the start", async () => {
  await expect(provide({ file: join(folder, "absent", "locks.db") })).rejects.toMatchObject({ code: "DLOCK_BACKEND" });
});
