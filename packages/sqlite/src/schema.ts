/** The tables, their version, and every statement that touches them. */
import { type DriverError, driverError, isServerToken, systemClock } from "@dlock/core";
import type { SqliteDatabase, SqliteStatement } from "./database.js";

const schemaVersion = 1;

/**
 * One row for each lease; times are microseconds of the clock that `clock` names. Without rowid, so that a lease costs one page. TEXT in
 * BINARY collation compares byte for byte.
 */
const tables = `
CREATE TABLE IF NOT EXISTS dlock_meta (
  name  TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dlock_leases (
  key           TEXT NOT NULL,
  owner         TEXT NOT NULL,
  token         INTEGER NOT NULL,
  mode          TEXT NOT NULL,
  granted_at_us INTEGER NOT NULL,
  expires_at_us INTEGER NOT NULL,
  ttl_us        INTEGER NOT NULL,
  clock         TEXT NOT NULL,
  metadata      TEXT,
  PRIMARY KEY (key, owner)
) WITHOUT ROWID;`;

const columns = "key, owner, token, mode, granted_at_us, expires_at_us, ttl_us, clock, metadata";

/** Where a row stands. */
export interface Place {
  readonly key: string;
  readonly owner: string;
}

export interface LeaseRow {
  readonly key: string;
  readonly owner: string;
  readonly token: bigint;
  readonly mode: "exclusive" | "shared";
  readonly granted_at_us: bigint;
  readonly expires_at_us: bigint;
  /** What `expires_at_us` was made from: the lease never ends later than this after it was last written. */
  readonly ttl_us: bigint;
  readonly clock: string;
  readonly metadata: string | null;
}

/** The prepared statements of one connection. */
export interface Statements {
  begin(): void;
  commit(): void;
  rollback(): void;
  /** Adds to the file's counter and returns it: the last of `count` new tokens. */
  mint(count: number): bigint;
  leasesOf(key: string): LeaseRow[];
  lease(key: string, owner: string): LeaseRow | undefined;
  insert(row: LeaseRow): void;
  renew(row: LeaseRow): void;
  /** Deletes one lease (only with that token, if given) and returns what it was. */
  remove(key: string, owner: string, token?: bigint): LeaseRow | undefined;
  /** The next rows in byte order without those that are none of ours, and where to go on unless they were the last. */
  page(from: Place, limit: number): { rows: LeaseRow[]; next: Place | undefined };
  /** Changes whenever another connection has committed. */
  dataVersion(): number;
}

/** Creates the tables if they are absent. Throws a DriverError when a newer version of this package made them. */
export function prepareSchema(db: SqliteDatabase): Statements {
  if (readVersion(db) === undefined) {
    db.exec("BEGIN IMMEDIATE");
    try {
      db.exec(tables);
      // The wall clock in microseconds, only as a floor: a file that is made anew goes on above the tokens of its predecessor.
      const floor = BigInt(systemClock.date().getTime()) * 1_000n;
      const insert = db.prepare("INSERT OR IGNORE INTO dlock_meta (name, value) VALUES (?, ?)");
      insert.run("last_token", floor);
      insert.run("schema_version", BigInt(schemaVersion));
      db.exec("COMMIT");
    } finally {
      if (db.inTransaction) db.exec("ROLLBACK");
    }
  }
  const version = readVersion(db);
  if (version !== schemaVersion) {
    throw driverError(
      `the lock tables of ${db.name} have schema version ${version}, this @dlock/sqlite knows ${schemaVersion}: update @dlock/sqlite in every process`,
      { applied: "no", retryable: false },
    );
  }
  return prepareStatements(db);
}

function readVersion(db: SqliteDatabase): number | undefined {
  const known = db.prepare("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('dlock_meta', 'dlock_leases')");
  if (Number(known.pluck().get()) < 2) return undefined;
  const version = db.prepare("SELECT value FROM dlock_meta WHERE name = 'schema_version'").pluck().get();
  return version === undefined ? undefined : Number(version);
}

const kinds = {
  key: "string",
  owner: "string",
  token: "bigint",
  granted_at_us: "bigint",
  expires_at_us: "bigint",
  ttl_us: "bigint",
  clock: "string",
} as const satisfies Partial<Record<keyof LeaseRow, string>>;

/** SQLite keeps anything in any column. */
function isOurs(row: unknown): row is LeaseRow {
  if (row === undefined) return false;
  const cells = row as Record<string, unknown>;
  const { mode, metadata, token } = cells;
  if (!((mode === "exclusive" || mode === "shared") && (metadata === null || typeof metadata === "string"))) return false;
  for (const name in kinds) if (typeof cells[name] !== kinds[name as keyof typeof kinds]) return false;
  return isServerToken(token);
}

/** What is none of ours is told, and not reckoned with. @throws DriverError. */
function checked(db: SqliteDatabase, row: unknown): LeaseRow {
  if (isOurs(row)) return row;
  const { key } = row as { key: unknown };
  throw damaged(db, `a row of dlock_leases, for the key ${JSON.stringify(String(key))}, is none that dlock has written`);
}

function optional(db: SqliteDatabase, row: unknown): LeaseRow | undefined {
  return row === undefined ? undefined : checked(db, row);
}

function damaged(db: SqliteDatabase, what: string): DriverError {
  return driverError(`${db.name}: ${what}; delete it once nobody works under its lock`, { applied: "no", retryable: false });
}

/** The one statement a guard needs, on a connection that may have no lock tables: it throws SQLite's error then. */
export function prepareLookup(db: SqliteDatabase): (key: string, token: bigint) => LeaseRow | undefined {
  const lookup = db.prepare(`SELECT ${columns} FROM dlock_leases WHERE key = ? AND token = ?`).safeIntegers(true);
  return (key, token) => optional(db, lookup.get(key, token));
}

function prepareStatements(db: SqliteDatabase): Statements {
  // Tokens may exceed 2^53 and must not lose digits.
  const exact = (sql: string): SqliteStatement => db.prepare(sql).safeIntegers(true);
  const begin = db.prepare("BEGIN IMMEDIATE");
  const commit = db.prepare("COMMIT");
  const rollback = db.prepare("ROLLBACK");
  // Of a counter that is none SQLite would make one that starts anew.
  const counter = "name = 'last_token' AND typeof(value) = 'integer' AND value >= 0";
  const mint = exact(`UPDATE dlock_meta SET value = value + ? WHERE ${counter} RETURNING value`).pluck();
  const leasesOf = exact(`SELECT ${columns} FROM dlock_leases WHERE key = ?`);
  const lease = exact(`SELECT ${columns} FROM dlock_leases WHERE key = ? AND owner = ?`);
  const insert = db.prepare(`INSERT INTO dlock_leases (${columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`);
  const renew = db.prepare("UPDATE dlock_leases SET expires_at_us = ?, ttl_us = ?, clock = ? WHERE key = ? AND owner = ?");
  const remove = exact(`DELETE FROM dlock_leases WHERE key = ? AND owner = ? RETURNING ${columns}`);
  const removeToken = exact(`DELETE FROM dlock_leases WHERE key = ? AND owner = ? AND token = ? RETURNING ${columns}`);
  const page = exact(`SELECT ${columns} FROM dlock_leases WHERE (key, owner) > (?, ?) ORDER BY key, owner LIMIT ?`);
  const dataVersion = db.prepare("PRAGMA data_version").pluck();
  return {
    begin: () => void begin.run(),
    commit: () => void commit.run(),
    rollback: () => void rollback.run(),
    // As a bigint: a number would be bound as REAL and make the sum one, which has no digits to spare above 2^53.
    mint: (count) => {
      const last = mint.get(BigInt(count));
      if (isServerToken(last)) return last;
      throw damaged(db, "the row last_token of dlock_meta is no whole number below 2^53, or is not there");
    },
    leasesOf: (key) => leasesOf.all(key).map((row) => checked(db, row)),
    lease: (key, owner) => optional(db, lease.get(key, owner)),
    insert: (r) => {
      insert.run(r.key, r.owner, r.token, r.mode, r.granted_at_us, r.expires_at_us, r.ttl_us, r.clock, r.metadata);
    },
    renew: (r) => void renew.run(r.expires_at_us, r.ttl_us, r.clock, r.key, r.owner),
    remove: (key, owner, token) => {
      const row = token === undefined ? remove.get(key, owner) : removeToken.get(key, owner, token);
      // One that was none of ours is gone like any other, and was no lease.
      return isOurs(row) ? row : undefined;
    },
    page: (from, limit) => {
      const rows = page.all(from.key, from.owner, limit);
      return { rows: rows.filter(isOurs), next: rows.length < limit ? undefined : (rows.at(-1) as Place) };
    },
    dataVersion: () => Number(dataVersion.get()),
  };
}
