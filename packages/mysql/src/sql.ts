/** How values and names become SQL that means the same on every server and in every session. */

/** Names of the three tables, quoted; and what the statements need of them. */
export interface Tables {
  /** The keys: their exclusive lease, and the row whose lock decides who is next. */
  readonly leases: string;
  /** The shared leases. */
  readonly holders: string;
  /** One number: every new token exceeds it. */
  readonly floor: string;
  /** A column of `leases` in a subquery of a statement that writes to `leases` without an alias. */
  readonly leasesKey: string;
  readonly plain: { readonly schema: string | undefined; readonly table: string };
}

export function tables(table = "distributed_locks", schema?: string): Tables {
  const within = schema === undefined ? "" : `${quoteName("schema", schema, 64)}.`;
  // The longest suffix has 7 characters.
  quoteName("table", table, 57);
  const quoted = (suffix: string) => within + quoteName("table", table + suffix, 64);
  return {
    leases: quoted(""),
    holders: quoted("_shared"),
    floor: quoted("_floor"),
    leasesKey: `${quoteName("table", table, 64)}.lock_key`,
    plain: { schema, table },
  };
}

/** @throws TypeError or RangeError when the servers would not take it for a name. */
function quoteName(option: string, name: string, longest: number): string {
  if (typeof name !== "string") throw new TypeError(`${option} must be a string, got ${typeof name}`);
  const length = [...name].length;
  // Names have neither NUL nor characters above U+FFFF, and servers drop blanks at the end.
  if (length < 1 || length > longest || name.includes("\0") || /[\uD800-\uDFFF]|\s$/.test(name)) {
    throw new RangeError(
      `${option} must be a name of 1 to ${longest} characters that does not end in a blank, got ${JSON.stringify(name)}`,
    );
  }
  return `\`${name.replaceAll("`", "``")}\``;
}

/** Bytes as a literal that no character set, collation or `sql_mode` touches; a column of bytes takes them as they are. */
export function bytes(text: string | Buffer): string {
  return `x'${Buffer.from(text as string).toString("hex")}'`;
}

/** What a claim may say of itself. */
export type Value = string | number | bigint | null;

/** A statement whose text is the same whatever its claims are: mysql2 finds what it has prepared by the text. */
export interface Statement {
  readonly prepared: string;
  readonly values: readonly (string | Buffer | null)[];
  /** The same with literals, for a server that prepares nothing. */
  readonly plain: () => string;
}

/** What the claims of a statement say, by name, each with the type it has in SQL. */
export type Columns = Readonly<Record<string, typeof nameType | typeof noteType | typeof numberType>>;

/** Names are compared with columns of bytes, and so as bytes. */
export const nameType = "VARCHAR(255) CHARACTER SET utf8mb4";
export const noteType = "VARCHAR(1024) CHARACTER SET utf8mb4";
export const numberType = "BIGINT UNSIGNED";

/**
 * A kind of statement on any number of claims. They are one parameter, and where `build` puts `claims` a table with a row for each, in their
 * order, `number` counting them. Both servers know JSON_TABLE; each has its own `VALUES`, and rows of literals take longer to parse than the
 * rest of the statement to execute.
 */
export function statement(columns: Columns, build: (names: Tables, claims: string) => string) {
  const list = Object.entries(columns).map(([name, type], index) => `${name} ${type} PATH '$.c${index}'`);
  const table = (json: string) => `JSON_TABLE(CONVERT(${json} USING utf8mb4), '$[*]' COLUMNS (number FOR ORDINALITY, ${list.join(", ")}))`;
  const prepared = onceForEach((names) => build(names, table("?")));
  return (names: Tables, rows: readonly (readonly Value[])[]): Statement => {
    const json = toJson(rows);
    const text = prepared(names);
    const times = text.split(table("?")).length - 1;
    return { prepared: text, values: new Array<string>(times).fill(json), plain: () => build(names, table(bytes(json))) };
  };
}

/** A kind of statement on one claim, with a parameter wherever `build` asks for a column: in half of the server's time. */
export function statementOnOne(columns: Columns, build: (names: Tables, column: (name: string) => string) => string) {
  const order = Object.keys(columns);
  const asked: string[] = [];
  const typed = (name: string, value: string) => (columns[name] === numberType ? `CAST(${value} AS UNSIGNED)` : value);
  const prepared = onceForEach((names) => {
    asked.length = 0;
    return build(names, (name) => {
      asked.push(name);
      return typed(name, "?");
    });
  });
  return (names: Tables, row: readonly Value[]): Statement => {
    const text = prepared(names);
    const said = (name: string) => {
      const value = row[order.indexOf(name)] ?? null;
      // Numbers as text: mysql2 would send a DOUBLE, which has no room for what some may be.
      return typeof value === "string" ? Buffer.from(value) : value === null ? null : String(value);
    };
    const plain = () => build(names, (name) => typed(name, literal(said(name))));
    return { prepared: text, values: asked.map(said), plain };
  };
}

function onceForEach(build: (names: Tables) => string): (names: Tables) => string {
  const made = new WeakMap<Tables, string>();
  return (names) => {
    let text = made.get(names);
    if (text === undefined) {
      text = build(names);
      made.set(names, text);
    }
    return text;
  };
}

function literal(value: Buffer | string | null): string {
  if (value === null) return "NULL";
  return typeof value === "string" ? value : bytes(value);
}

/**
 * In ASCII, which is the same in the character set of any connection. What is null is left out: the first MySQL 8.0 take a JSON null for the
 * text or the number that it can be read as.
 */
function toJson(rows: readonly (readonly Value[])[]): string {
  const lines = rows.map((row) => {
    const cells = row.map((value, index) =>
      value === null ? "" : `"c${index}":${typeof value === "string" ? JSON.stringify(value) : value}`,
    );
    return `{${cells.filter(Boolean).join(",")}}`;
  });
  return `[${lines.join(",")}]`.replace(/[\x7f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** The server's time in UTC when this is evaluated, so after any wait for a row (our sessions are at +00:00). */
export const now = "SYSDATE(6)";

/** The server's time in UTC when the statement began. */
export const began = "UTC_TIMESTAMP(6)";

/** What the end of a lease is set to when it is released: over, however the server's clock may step. */
export const ended = "'1970-01-01'";

export function micros(ms: number): number {
  // Whole milliseconds, so that what is given is what the result says.
  return Math.ceil(ms) * 1_000;
}

export function plus(time: string, duration: string | number): string {
  return `${time} + INTERVAL ${duration} MICROSECOND`;
}

/** Microseconds from `from` to `to`. */
export function between(from: string, to: string): string {
  return `TIMESTAMPDIFF(MICROSECOND, ${from}, ${to})`;
}

/**
 * The least token that a statement may give: above the stored floor, and not below the time in microseconds (which is below 2^53 until
 * 2255), so that tokens grow even after the tables or the server's last writes were lost. The row of the floor has to be read `LOCK IN SHARE
 * MODE`: so it stays locked until the statement ends, whoever raises it waits, and no later statement can miss it (R6, R7).
 */
export function leastToken(floor: string): string {
  return `GREATEST(COALESCE(${floor}, 0) + 1, ${between("'1970-01-01'", began)})`;
}

/**
 * Between `FOR UPDATE` and the rest: of which table the rows are locked. Without this MySQL refuses to lock (3569) where a table of claims is
 * read, too. MariaDB does not know the word, and reads no comment that begins with a version of MySQL's after 5.7.
 */
export function lockOnly(alias: string): string {
  return `/*!80001 OF ${alias} */`;
}

/** Rows are always locked in the order of their keys' bytes, so that statements do not lock each other out in a circle. */
export function sortByKey<T extends { readonly key: string }>(claims: readonly T[]): T[] {
  return claims
    .map((claim) => ({ claim, order: Buffer.from(claim.key) }))
    .sort((a, b) => Buffer.compare(a.order, b.order))
    .map(({ claim }) => claim);
}

/** The rows after this one in the order of a primary key of `lock_key`, or of `lock_key` and `slot`. */
export function beyond(key: string | Buffer, slot?: string): string {
  const after = `lock_key > ${bytes(key)}`;
  // The first condition alone bounds what is read.
  return slot === undefined ? after : `lock_key >= ${bytes(key)} AND (${after} OR slot > ${slot})`;
}

export function list(values: Iterable<string>): string {
  return [...new Set(values)].map((value) => bytes(value)).join(", ");
}
