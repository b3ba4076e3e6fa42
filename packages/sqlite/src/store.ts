/** The connection: opens it on first use, notices when its file is gone, and runs transactions on it. */
import { statSync } from "node:fs";
import { resolve } from "node:path";
import { driverError } from "@dlock/core";
import Database from "better-sqlite3";
import type { SqliteDatabase } from "./database.js";
import { Busy, FileGone, translate } from "./faults.js";
import { prepareSchema, type Statements } from "./schema.js";

export type Synchronous = "full" | "normal";

/**
 * Whether a transaction must survive a power loss. Only grants must, for their tokens: a power loss ends every holder on the machine, so a
 * renewal or release that it takes back leaves a lease of nobody, which ends with its TTL.
 */
export type Durability = "durable" | "volatile";

interface Opened {
  readonly db: SqliteDatabase;
  readonly sql: Statements;
  /** Device and inode of the file behind the connection. */
  readonly dev: bigint;
  readonly ino: bigint;
}

export class Store {
  /** Absolute, because the working directory may change. */
  readonly path: string;
  readonly #synchronous: Synchronous;
  readonly #theirs: SqliteDatabase | undefined;
  #opened: Opened | undefined;
  /** What `PRAGMA synchronous` stands at, as far as we know. */
  #current: Synchronous | undefined;
  #closed = false;

  constructor(where: string | SqliteDatabase, synchronous: Synchronous) {
    // better-sqlite3 opens a name without the blanks around it.
    this.path = resolve((typeof where === "string" ? where : where.name).trim());
    this.#theirs = typeof where === "string" ? undefined : where;
    this.#synchronous = synchronous;
  }

  /**
   * Runs `body` in one write transaction. Throws {@link Busy} when the write lock is taken, {@link FileGone}, or a DriverError; nothing of
   * `body` is applied then, unless the DriverError says that it is unknown.
   */
  transact<T>(durability: Durability, body: (sql: Statements) => T): T {
    return this.#use(({ sql, db }) => {
      const synchronous = durability === "durable" ? this.#synchronous : "normal";
      if (synchronous !== this.#current) db.pragma(`synchronous = ${synchronous}`);
      this.#current = synchronous;
      sql.begin();
      let applied: "no" | "unknown" = "no";
      try {
        const result = body(sql);
        applied = "unknown";
        sql.commit();
        return result;
      } catch (error) {
        // SQLite has rolled back by itself after some errors, and after others cannot: the error we have says more than the next one.
        if (db.inTransaction) ignoreErrors(sql.rollback);
        // The log cannot grow any more. Once its content is in the database it starts over in the space it has, so that the next attempt
        // may succeed although the disk is still full: renewals and releases need no more than that.
        if ((error as { code?: unknown }).code === "SQLITE_FULL") ignoreErrors(() => db.pragma("wal_checkpoint(PASSIVE)"));
        throw translate(error, this.path, applied);
      }
    });
  }

  /** Writes and takes it back: SQLite begins a write transaction even where it cannot write, and says so only when it has to. */
  probe(): void {
    this.#use(({ sql }) => {
      sql.begin();
      try {
        sql.mint(0);
      } finally {
        ignoreErrors(sql.rollback);
      }
    });
  }

  /** Runs `body`, which only reads; never waits for a writer. */
  read<T>(body: (sql: Statements) => T): T {
    return this.#use(({ sql }) => body(sql));
  }

  close(): void {
    this.#closed = true;
    if (this.#theirs === undefined) this.#opened?.db.close();
    this.#opened = undefined;
  }

  assertOpen(): void {
    if (this.#closed) throw driverError("the sqlite driver is closed", { applied: "no", retryable: false });
  }

  #use<T>(body: (opened: Opened) => T): T {
    try {
      this.assertOpen();
      if (this.#theirs === undefined) {
        this.#opened ??= this.#openOwn();
        this.#checkFile(this.#opened);
        return body(this.#opened);
      }
      return this.#useTheirs(this.#theirs, body);
    } catch (error) {
      throw translate(error, this.path, "no");
    }
  }

  /**
   * The user's connection may be in the middle of the user's work; its busy timeout would block the event loop, and how it syncs is the
   * user's choice for the user's data: both are put back.
   */
  #useTheirs<T>(db: SqliteDatabase, body: (opened: Opened) => T): T {
    if (!db.open) throw driverError(`the database given for ${this.path} is closed`, { applied: "no", retryable: false });
    if (db.inTransaction) throw new Busy(`the connection to ${this.path} is in the middle of a transaction`);
    const timeout = Number(db.pragma("busy_timeout", { simple: true }));
    const synchronous = Number(db.pragma("synchronous", { simple: true }));
    this.#current = undefined;
    db.pragma("busy_timeout = 0");
    try {
      this.#opened ??= this.#adopt(db);
      this.#checkFile(this.#opened);
      return body(this.#opened);
    } finally {
      db.pragma(`busy_timeout = ${timeout}`);
      db.pragma(`synchronous = ${synchronous}`);
    }
  }

  #openOwn(): Opened {
    const before = this.#stat();
    const db = new Database(this.path, { timeout: 0 });
    this.#current = undefined;
    try {
      const mode = db.pragma("journal_mode = WAL", { simple: true });
      if (mode !== "wal") throw this.#noWal("its file system or SQLite build cannot keep a write-ahead log");
      // A reader that stood still for long lets the log grow; this cuts it back at the next checkpoint.
      db.pragma(`journal_size_limit = ${8 * 1024 * 1024}`);
      const opened = this.#adopt(db);
      // Replaced while it was being opened: which file the connection has is not known, so open again.
      if (before !== undefined && (before.dev !== opened.dev || before.ino !== opened.ino)) throw new Busy(`${this.path} was replaced`);
      return opened;
    } catch (error) {
      db.close();
      throw error;
    }
  }

  #adopt(db: SqliteDatabase): Opened {
    if (db.pragma("journal_mode", { simple: true }) !== "wal") {
      throw this.#noWal("run `PRAGMA journal_mode = WAL` on the database that was given");
    }
    const sql = prepareSchema(db);
    const file = this.#stat();
    if (file === undefined) throw new FileGone(this.path, "deleted");
    return { db, sql, dev: file.dev, ino: file.ino };
  }

  #noWal(why: string) {
    return driverError(`${this.path} is not in WAL mode: ${why}`, { applied: "no", retryable: false });
  }

  /** An inode cannot be used again while the connection has its file open, so this comparison cannot be fooled. */
  #checkFile(opened: Opened): void {
    const file = this.#stat();
    if (file === undefined) throw new FileGone(this.path, "deleted");
    if (file.ino !== opened.ino || file.dev !== opened.dev) throw new FileGone(this.path, "replaced");
  }

  /** Only ever `stat`: opening and closing the file here would drop SQLite's POSIX locks on it. */
  #stat() {
    return statSync(this.path, { bigint: true, throwIfNoEntry: false });
  }
}

function ignoreErrors(run: () => void): void {
  try {
    run();
  } catch {
    // Deliberate: see the caller.
  }
}
