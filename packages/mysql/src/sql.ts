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

export type Value = Buffer | number | bigint | null;

/** How a value gets into a statement: as a literal, or as a parameter of a prepared one. */
export type Param = (value: Value) => string;

/** A statement that is worth preparing: one claim at a time, always the same text. */
export type Statement = (param: Param) => string;

export const literal: Param = (value) => (value === null ? "NULL" : Buffer.isBuffer(value) ? bytes(value) : String(value));

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

/** A table of claims: rows of literals. Both servers know `UNION ALL`; each has its own `VALUES`. */
export function claimTable(columns: readonly string[], rows: readonly (readonly (string | number | bigint)[])[]): string {
  const [first = [], ...others] = rows;
  return [
    `SELECT ${first.map((value, i) => `${value} AS ${columns[i]}`).join(", ")}`,
    ...others.map((row) => `SELECT ${row.join(", ")}`),
  ].join(" UNION ALL ");
}

/** Rows are always locked in the order of their keys' bytes, so that statements do not lock each other out in a circle. */
export function sortByKey<T extends { readonly key: string }>(claims: readonly T[]): T[] {
  return claims
    .map((claim) => ({ claim, order: Buffer.from(claim.key) }))
    .sort((a, b) => Buffer.compare(a.order, b.order))
    .map(({ claim }) => claim);
}

export function list(values: Iterable<string>): string {
  return [...new Set(values)].map((value) => bytes(value)).join(", ");
}
