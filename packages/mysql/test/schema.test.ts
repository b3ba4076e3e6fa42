/** The tables: made on demand, refused when they are others', found under any name, used with few rights. */
import assert from "node:assert/strict";
import { isDriverError, type LockDriver } from "@dlock/core";
import { describe, expect, it } from "vitest";
import { mysqlDriver, schemaSql } from "../src/index.ts";
import { call, cell, claim, failure, grant, newTable, observer, serverUrl, tryOne } from "./servers.ts";

const url = await serverUrl();
const admin = observer(url, { multipleStatements: true });

async function withDriver<T>(options: Parameters<typeof mysqlDriver>[0], body: (driver: LockDriver) => Promise<T>): Promise<T> {
  const driver = mysqlDriver(options);
  try {
    return await body(driver);
  } finally {
    await driver.close();
  }
}

describe("tables that are missing", () => {
  it("are created when first needed, by many clients at once", async () => {
    const table = newTable();
    const drivers = Array.from({ length: 8 }, () => mysqlDriver({ url, table }));
    const results = await Promise.all(drivers.map((driver, i) => tryOne(driver, claim(`k${i}`))));
    expect(results.every(({ acquired }) => acquired)).toBe(true);
    await Promise.all(drivers.map((driver) => driver.close()));
  });

  it("are a clear error without createTable", async () => {
    const table = newTable();
    await withDriver({ url, table, createTable: false }, async (driver) => {
      const error = await failure(driver.acquire([claim("k")], call));
      expect(error).toMatchObject({ applied: "no", retryable: false });
      expect(error.message).toContain(`there is no table ${table}`);
      expect(error.message).toContain("dlock schema mysql");
      await admin.query(schemaSql({ table }));
      expect(await tryOne(driver, claim("k"))).toMatchObject({ acquired: true });
    });
  });

  it("are made by the SQL that schemaSql returns, as often as it is run", async () => {
    const table = newTable();
    for (let i = 0; i < 2; i++) await admin.query(schemaSql({ table }));
    await withDriver({ url, table, createTable: false }, (driver) => driver.ping(call));
  });

  it("have the columns that people know from such tables", () => {
    for (const column of ["id", "lock_key", "owner", "expires_at", "created_at", "updated_at"]) {
      expect(schemaSql()).toMatch(new RegExp(`^  ${column} `, "m"));
    }
    expect(schemaSql()).toContain("CREATE TABLE IF NOT EXISTS `distributed_locks` (");
  });
});

describe("a table with another layout", () => {
  it("is refused with the migration to run, which works", async () => {
    const table = newTable();
    await admin.query(
      `CREATE TABLE ${table} (id BIGINT AUTO_INCREMENT PRIMARY KEY, lock_key VARCHAR(255) NOT NULL UNIQUE, owner VARCHAR(255) NOT NULL, ` +
        "expires_at TIMESTAMP NOT NULL, created_at TIMESTAMP NOT NULL DEFAULT NOW(), updated_at TIMESTAMP NOT NULL DEFAULT NOW())",
    );
    await withDriver({ url, table }, async (driver) => {
      const error = await failure(driver.acquire([claim("k")], call));
      expect(error).toMatchObject({ applied: "no", retryable: false });
      expect(error.message).toContain(`${table}.lock_key is varchar(255), not varbinary(255)`);
      expect(error.message).toContain(`${table}.token is missing`);
      await admin.query(error.message.slice(error.message.indexOf("RENAME TABLE")));
      expect(await tryOne(driver, claim("k"))).toMatchObject({ acquired: true });
    });
  });

  it("is refused when its engine has no transactions", async () => {
    const table = newTable();
    await admin.query(schemaSql({ table }).replaceAll("InnoDB", "MyISAM"));
    await withDriver({ url, table }, async (driver) => {
      const error = await failure(driver.acquire([claim("k")], call));
      expect(error.message).toContain(`${table} is kept by MyISAM, not InnoDB`);
    });
  });
});

describe("names", () => {
  for (const name of [
    "with blank",
    "back`tick",
    "quo'te",
    'dou"ble',
    "semi;colon -- x",
    "日本語の表",
    "SELECT",
    "per%cent_",
    "x".repeat(57),
  ]) {
    it(`may be ${JSON.stringify(name)}`, async () => {
      await withDriver({ url, table: name }, async (driver) => {
        const wish = claim("k");
        const shared = claim("s", { mode: "shared", limit: 2 });
        const token = await grant(driver, wish);
        const sharedToken = await grant(driver, shared);
        expect(
          await driver.extend(
            [
              { ...wish, token, longestMs: 10_000 },
              { ...shared, token: sharedToken, longestMs: 10_000 },
            ],
            call,
          ),
        ).toEqual([true, true]);
        expect(await driver.release([wish, shared], call)).toEqual([true, true]);
        // Two rows of keys and one of a shared holder.
        expect(await driver.sweep(call)).toBe(3);
      });
    });
  }

  it("that cannot be one are refused", () => {
    for (const table of ["", "x".repeat(58), "nul\0", "blank ", "\u{1F512}"]) {
      expect(() => mysqlDriver({ url, table })).toThrow(RangeError);
      expect(() => schemaSql({ table })).toThrow(RangeError);
    }
    expect(() => mysqlDriver({ url, schema: "" })).toThrow("schema must be a name of 1 to 64 characters");
  });

  it("of another schema than the connection's work", async () => {
    await admin.query("CREATE DATABASE IF NOT EXISTS `other ``schema`");
    const table = newTable();
    await withDriver({ url, table, schema: "other `schema" }, async (driver) => {
      await grant(driver, claim("k"));
      expect(await cell(admin, `SELECT COUNT(*) FROM \`other \`\`schema\`.${table}`)).toBe(1);
    });
  });
});

describe("a user with the rights that the README lists", () => {
  it("can do all but create the tables", async () => {
    const table = newTable();
    await admin.query(schemaSql({ table }));
    await admin.query("CREATE USER IF NOT EXISTS least IDENTIFIED BY 'very-secret'");
    const database = new URL(url).pathname.slice(1);
    for (const suffix of ["", "_shared", "_floor"]) {
      await admin.query(`GRANT SELECT, INSERT, UPDATE, DELETE ON ${database}.${table}${suffix} TO least`);
    }
    const address = new URL(url);
    address.username = "least";
    address.password = "very-secret";
    await withDriver({ url: address, table }, async (driver) => {
      const wish = claim("k");
      const token = await grant(driver, wish);
      await grant(driver, claim("s", { mode: "shared" }));
      expect(await driver.extend([{ ...wish, token, longestMs: 10_000 }], call)).toEqual([true]);
      expect(await driver.release([wish], call)).toEqual([true]);
      expect(await driver.inspect("s", call)).toHaveLength(1);
      expect(await driver.sweep(call)).toBe(1);
      await driver.ping(call);
    });
    const missing = newTable();
    await withDriver({ url: address, table: missing }, async (driver) => {
      const error = await failure(driver.acquire([claim("k")], call));
      expect(error).toMatchObject({ applied: "no", retryable: false });
      expect(error.message).toContain("(1142)");
      expect(error.message).toContain("grant the user the rights");
    });
  });

  it("but a wrong password gets a clear error that does not show it", async () => {
    const address = new URL(url);
    address.password = "very-secret-guess";
    await withDriver({ url: address }, async (driver) => {
      const error = await driver.ping(call).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      assert(isDriverError(error));
      expect(error).toMatchObject({ applied: "no", retryable: false });
      expect(error.message).toContain("(1045)");
      expect(`${error.message} ${error.stack} ${JSON.stringify(error.cause)}`).not.toContain("very-secret-guess");
    });
  });
});
