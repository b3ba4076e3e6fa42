/** Options and URLs that make no sense are refused with the name of what is wrong. */
import { describe, expect, it } from "vitest";
import { backend, mysqlDriver } from "../src/index.ts";
import { parseUrl } from "../src/options.ts";

describe("options", () => {
  it("name exactly one source", () => {
    expect(() => mysqlDriver({})).toThrow(new TypeError("mysqlDriver takes exactly one of pool, connection, url; given: none"));
    expect(() => mysqlDriver({ url: "mysql://h/d", connection: {} })).toThrow("given: connection, url");
  });

  it("are checked", () => {
    expect(() => mysqlDriver({ connection: {}, connections: 1 })).toThrow(
      new RangeError("connections must be a whole number from 2 to 64, got 1"),
    );
    expect(() => mysqlDriver({ connection: {}, createTable: "yes" as never })).toThrow(TypeError);
    expect(() => mysqlDriver({ connection: [] })).toThrow("connection must name at least one host");
  });
});

describe("a URL", () => {
  it("says user, password, host, port, database and table", () => {
    expect(parseUrl("mysql://me%40home:p%3Aw@db.example:3307/my%20db?table=locks&createTable=false&ssl=true")).toEqual({
      connection: [{ host: "db.example", port: 3307, user: "me@home", password: "p:w", database: "my db", ssl: {} }],
      table: "locks",
      createTable: false,
    });
  });

  it("may name further hosts", () => {
    const { connection } = parseUrl("mariadb://me@[::1]/d?node=two&node=[::2]:3308");
    expect(connection.map(({ host, port }) => [host, port])).toEqual([
      ["::1", 3306],
      ["two", 3306],
      ["::2", 3308],
    ]);
  });

  it("with a parameter that does not exist is refused by its name", () => {
    expect(() => backend.fromUrl(new URL("mysql://h/d?tabel=x"))).toThrow(
      new RangeError('unknown parameter "tabel" in a mysql: URL; known are table, createTable, ssl, node'),
    );
  });

  it("that makes no sense is refused without showing the password", () => {
    for (const url of [
      "postgres://u:very-secret@h/d",
      "mysql://u:very-secret@h",
      "mysql://u:very-secret@h/a/b",
      "mysql://u:very-secret@h:99999/d",
      "mysql://u:very-secret@h/d?createTable=1",
      "mysql://u:very-secret@h/d?node=:1",
      "mysql://u:very-secret@h/d?table=",
    ]) {
      let error: unknown;
      try {
        mysqlDriver({ url });
      } catch (thrown) {
        error = thrown;
      }
      expect(error, url).toBeInstanceOf(Error);
      expect(error instanceof TypeError || error instanceof RangeError).toBe(true);
      expect(`${(error as Error).stack} ${JSON.stringify(error)}`).not.toContain("very-secret");
    }
  });
});
