/** One connection of the driver's own: set up so that no setting of the caller or the server changes what a statement means, and given up, never given back. */
import { type DriverError, driverError, setTimeLimit, systemClock } from "@dlock/core";
import { Answer, type Cell, type MysqlConnection, type MysqlError, preparedQuery, rawQuery } from "./client.js";
import { cannotPrepare, isReadOnly, isUnsent, toDriverError } from "./faults.js";
import type { Statement } from "./sql.js";

/** How long a statement waits for a row, and for a table that is being altered; whole seconds are all InnoDB offers. */
export const lockWaitMs = 1_000;

const setUp = [
  // Times without offset are the server's UTC; strict: nothing is cut to fit; idle connections are ours to close.
  "SET time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', autocommit = 1, " +
    `innodb_lock_wait_timeout = ${lockWaitMs / 1_000}, lock_wait_timeout = ${lockWaitMs / 1_000}, wait_timeout = 86400`,
  // A variable would have to be called tx_isolation on MariaDB and transaction_isolation on MySQL.
  "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
];

export class Session {
  /** Whether the connection is gone: the session is of no further use. */
  broken = false;
  #prepares = true;
  #abandon: ((error: DriverError) => void) | undefined;
  readonly #connection: MysqlConnection;

  constructor(connection: MysqlConnection) {
    this.#connection = connection;
    const lost = () => {
      this.broken = true;
    };
    // Also keeps an 'error' of an idle connection from ending the process.
    for (const event of ["error", "end", "close"]) connection.on(event, lost);
  }

  /** Rejects when the server cannot be used, with what would mend it. */
  async setUp(timeoutMs: number, reset: boolean): Promise<void> {
    const deadline = systemClock.now() + timeoutMs;
    // Rolls back what the caller may have left open on a pooled connection, and forgets its session variables.
    if (reset) await this.#ask((done) => this.#connection.reset(done), timeoutMs);
    for (const sql of setUp) await this.run(sql, deadline - systemClock.now());
    const { rows } = await this.run("SELECT VERSION(), SLEEP(0.001), SYSDATE(6) > NOW(6)", deadline - systemClock.now());
    const [version, , ticks] = rows[0] as readonly Cell[];
    const problem = unsuitable(String(version), String(ticks) === "1");
    if (problem !== undefined) throw driverError(problem, { applied: "no", retryable: false });
  }

  /** Sends one statement. When the time is over the connection is given up: the statement may still be running. */
  async run(statement: string | Statement, timeoutMs: number): Promise<Answer> {
    if (typeof statement === "string" || !this.#prepares) {
      const sql = typeof statement === "string" ? statement : statement.plain();
      return new Answer(await this.#ask((done) => this.#connection.query(rawQuery(sql), done), timeoutMs));
    }
    try {
      return new Answer(await this.#ask((done) => this.#connection.execute(preparedQuery(statement), done), timeoutMs));
    } catch (error) {
      if (!cannotPrepare(error)) throw error;
      this.#prepares = false;
      return this.run(statement, timeoutMs);
    }
  }

  /** Whether the open connection keeps the process alive: only while it is asked something. */
  ref(keepsAlive: boolean): void {
    const { stream } = this.#connection as { stream?: { ref?(): void; unref?(): void } };
    if (keepsAlive) stream?.ref?.();
    else stream?.unref?.();
  }

  close(): void {
    this.#drop("the driver was closed");
  }

  #ask(send: (done: (error: MysqlError | null, result?: unknown) => void) => unknown, timeoutMs: number): Promise<unknown> {
    if (this.broken) return Promise.reject(toDriverError({ message: "it was closed while idle" }, false));
    if (timeoutMs <= 0) return Promise.reject(driverError("no time was left to ask", { applied: "no", retryable: true }));
    return new Promise((resolve, reject) => {
      const late = () => this.#drop(`the server did not answer in time; ${Math.ceil(timeoutMs)} ms were left when it was asked`);
      const timer = setTimeLimit(systemClock, late, timeoutMs);
      this.#abandon = (error) => {
        timer.cancel();
        this.#abandon = undefined;
        reject(error);
      };
      send((error, result) => {
        if (this.#abandon === undefined) return;
        timer.cancel();
        this.#abandon = undefined;
        if (error === null || error === undefined) {
          resolve(result);
          return;
        }
        // mysql2 refuses on its own, without a code, when it already knows that the connection is closed.
        const failure = toDriverError(error, error.code !== undefined || error.fatal !== true);
        // A new connection may reach the new primary behind the same name.
        if (error.fatal === true || isUnsent(failure) || isReadOnly(failure)) this.#drop("");
        reject(failure);
      });
    });
  }

  /** `destroy` of mysql2 only half-closes, which a silent network never completes. */
  #drop(why: string): void {
    this.broken = true;
    this.#connection.destroy();
    (this.#connection as { stream?: { destroy?(): void } }).stream?.destroy?.();
    this.#abandon?.(driverError(why, { applied: "unknown", retryable: true }));
  }
}

/** Why this server cannot keep locks, if so. */
function unsuitable(version: string, clockTicks: boolean): string | undefined {
  const [, major = 0, minor = 0] = (/^(?:5\.5\.5-)?(\d+)\.(\d+)/.exec(version) ?? []).map(Number);
  const isMaria = /mariadb/i.test(version);
  // SKIP LOCKED and locking reads in subqueries.
  if (isMaria ? major < 10 || (major === 10 && minor < 6) : major < 8)
    return `the server is ${version}; @dlock/mysql needs MySQL 8.0 or MariaDB 10.6`;
  if (!clockTicks)
    return "the server runs with --sysdate-is-now: a statement that waited for a row could not tell the time; remove the option";
  return undefined;
}
