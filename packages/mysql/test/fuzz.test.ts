// Whatever comes back from a server or a proxy: an answer that can be relied upon, or a DriverError; and options that are refused by name.
import fc from "fast-check";
import { describe } from "vitest";
import { testOptions, testUrls } from "../../core/test/fuzz/driver-options.ts";
import { testReplies } from "../../core/test/fuzz/replies.ts";
import { backend } from "../src/backend.ts";
import { mysqlDriver } from "../src/index.ts";

const ok = { affectedRows: 0, insertId: 0 };
const text = (value: string) => Buffer.from(value);

/** What a SELECT is answered with, and any other statement. */
interface Reply {
  readonly rows: unknown;
  readonly packet: unknown;
}

/** A pool of mysql2 whose connections are set up as usual, and then answer what they are told. */
function open({ rows, packet }: Reply) {
  const answer = (sql: string): unknown => {
    if (sql.includes("VERSION()")) return [[text("10.11.6-MariaDB"), text("0"), text("1")]];
    if (sql.includes("information_schema")) return [];
    if (/^(SET|CREATE|INSERT IGNORE)/.test(sql)) return ok;
    return sql.startsWith("SELECT") ? rows : packet;
  };
  const ask = ({ sql }: { sql: string }, done: (error: null, result: unknown) => void) => queueMicrotask(() => done(null, answer(sql)));
  const connection = { query: ask, execute: ask, reset: (done: (error: null) => void) => done(null), on: () => {}, destroy: () => {} };
  return mysqlDriver({ pool: { getConnection: (done) => done(null, connection), config: { connectionLimit: 4 } } });
}

const cell = fc.oneof(
  fc.constantFrom<unknown>(null, undefined, text(""), text("exclusive"), text("shared"), text("a"), text("b"), text("me"), text("x")),
  fc.constantFrom<unknown>(text("5"), text("-5"), text("1.5"), text("0x10"), text("9".repeat(30)), text("1000000"), text("NaN"), 5, {}),
  fc.uint8Array({ maxLength: 6 }).map((bytes) => Buffer.from(bytes)),
);
const row = fc.oneof(
  fc.array(cell, { maxLength: 8 }),
  // Almost as it should be.
  fc.tuple(
    fc.constantFrom(text("exclusive"), text("shared"), text("other")),
    fc.constantFrom(text("a"), text("b")),
    fc.constantFrom(text("me"), text("other")),
    cell,
    cell,
    cell,
    cell,
  ),
);
const noRows = [null, undefined, 5, "x", {}, ok, [null], [5]];
const noPackets = [null, undefined, 5, "x", [], [[text("1")]]];
const number = fc.constantFrom<unknown>(
  ...[0, 1, 2, 3, -1, 1.5, Number.NaN, 2 ** 53, "5", "x", "18446744073709551615", 7n, null, undefined, {}],
);
const replies = fc.record({
  rows: fc.oneof({ weight: 6, arbitrary: fc.array(row, { maxLength: 3 }) }, { weight: 1, arbitrary: fc.constantFrom<unknown>(...noRows) }),
  packet: fc.oneof(
    { weight: 6, arbitrary: fc.record({ affectedRows: number, insertId: number }, { requiredKeys: [] }) },
    { weight: 1, arbitrary: fc.constantFrom<unknown>(...noPackets) },
  ),
});

/** A lease as it should be, with a wrong cell in each place in turn. */
const lease = ["exclusive", "a", "me", "5", "60000000", "5", null].map((value) => (value === null ? null : text(value)));
const wrongCells: readonly (readonly unknown[])[] = [
  [null, 5, text(""), text("other")],
  [null, undefined, 5, {}],
  [null, undefined, 5, {}],
  [null, 5.5, text("x"), text("-5"), text("0"), text("1.5"), text("9".repeat(17)), {}],
  [null, Number.NaN, text("x"), text("1e9"), text("9".repeat(400)), {}],
  [null, Number.NaN, text("x"), text("1e9"), text("9".repeat(400)), {}],
  [5, {}, [], undefined],
];
const garbledRows = [
  ...noRows,
  ...wrongCells.flatMap((cells, place) => cells.map((wrong) => [lease.with(place, wrong as never)])),
  [lease.slice(0, 5)],
  [[...lease, text("1"), text("more")]],
];
const garbledNumbers = ["x", 1.5, -1, Number.NaN, null, undefined, {}];

const garbledRowsAnd = (packets: readonly unknown[]): Reply[] => [
  ...garbledRows.map((rows) => ({ rows, packet: ok })),
  ...packets.map((packet) => ({ rows: [], packet })),
];
const noCounts = [...noPackets, ...[...garbledNumbers, 3].map((affectedRows) => ({ affectedRows, insertId: 0 }))];
const noTokens = [...garbledNumbers, 2 ** 53, "18446744073709551615"].map((insertId) => ({ affectedRows: 2, insertId }));

describe("a reply:", () => {
  testReplies<Reply>({
    open,
    any: replies,
    garbled: {
      acquire: garbledRowsAnd([...noPackets, ...noTokens]),
      extend: garbledRowsAnd(noCounts),
      release: garbledRowsAnd(noCounts),
      inspect: garbledRowsAnd([]),
      list: garbledRowsAnd([]),
    },
  });
});

describe("an option:", () => {
  testUrls({
    fromUrl: backend.fromUrl,
    schemes: ["mysql:", "mariadb:", "http:"],
    paths: ["app"],
    parameters: ["table", "createTable", "ssl", "node"],
    values: ["true", "app", "`"],
  });
  testOptions({
    create: mysqlDriver,
    sources: ["pool", "connection", "url"],
    source: { connection: {} },
    others: ["table", "schema", "createTable", "connections"],
  });
});
