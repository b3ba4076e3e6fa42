/** `dlock schema`: the SQL of the backends that have some. */
import { schemaSql } from "@dlock/mysql";
import { expect, test } from "vitest";
import { Folder } from "./support/dlock.ts";

test("dlock schema mysql prints the SQL of the tables, under the names that are asked for", async () => {
  const folder = new Folder();
  expect(await folder.run("schema", "mysql")).toEqual({ exitCode: 0, stdout: schemaSql(), stderr: "" });
  const { stdout } = await folder.run("schema", "mysql", "--table", "my`locks", "--schema", "app");
  expect(stdout).toBe(schemaSql({ table: "my`locks", schema: "app" }));
  expect(stdout).toContain("CREATE TABLE IF NOT EXISTS `app`.`my``locks_shared`");
});

test("dlock schema ends with 64 for a name that cannot be one, and for a backend without tables of that kind", async () => {
  const folder = new Folder();
  const wrong = await folder.run("schema", "mysql", "--table", "x".repeat(58));
  expect(wrong).toEqual({ exitCode: 64, stdout: "", stderr: expect.stringContaining("table must be a name of 1 to 57 characters") });
  const none = await folder.run("schema", "memory");
  expect(none).toEqual({ exitCode: 64, stdout: "", stderr: "dlock: the backend memory has no tables that could be created by hand\n" });
});

test("dlock schema ends with 69 when the backend is not installed, and says what to install", async () => {
  const { exitCode, stdout, stderr } = await new Folder().run("schema", "nosuch");
  expect({ exitCode, stdout }).toEqual({ exitCode: 69, stdout: "" });
  expect(stderr).toContain("npm install @dlock/nosuch");
});
