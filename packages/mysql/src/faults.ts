/** What a failed statement means: applied or not, worth repeating or not, and what mends it. */
import { type DriverError, driverError, isDriverError } from "@dlock/core";
import type { MysqlError } from "./client.js";

const deadlock = 1213;
const lockWaitTimeout = 1205;
const noSuchTable = 1146;
const unknownColumn = 1054;
/** --read-only, a read-only transaction (Aurora, Group Replication), the server's read-only mode. */
const readOnly = [1290, 1792, 1836];
/** Refused at the door: name, password, host, database, privileges of tables and columns, a server that wants TLS. */
const denied = [1044, 1045, 1049, 1130, 1142, 1143, 1227, 1251, 1698, 3159];
/** The server answered, and yet the statement may have been applied: it broke at the commit or while the connection was being closed. */
const undecided = [1158, 1159, 1160, 1161, 1180];
/** MySQL's last word on a connection that was idle for too long; a statement that crossed it on the way was not looked at. */
const idleTooLong = 4031;

const remedies: Readonly<Record<number, string>> = {
  1044: "grant the user the rights that the README of @dlock/mysql lists",
  1045: "check the user name and the password",
  1046: "name a database in the connection's options or the URL",
  1049: "create the database or name another one",
  1054: "the table has another layout: see `dlock schema mysql`",
  1142: "grant the user the rights that the README of @dlock/mysql lists",
  1143: "grant the user the rights that the README of @dlock/mysql lists",
  1146: "create the tables: `dlock schema mysql` prints the SQL, or set createTable",
  1290: "connect to the primary, or list all its hosts",
  1665: "set binlog_format to ROW or MIXED",
  1698: "check the user name and the password",
  1792: "connect to the primary, or list all its hosts",
  1836: "connect to the primary, or list all its hosts",
};

/** An error of mysql2 as the contract wants it. `sent`: whether the statement may have reached the server. */
export function toDriverError(error: MysqlError, sent: boolean): DriverError {
  const { errno, code } = error;
  const answered = errno !== idleTooLong && (error.sqlState !== undefined || (errno !== undefined && errno >= 1_000));
  if (!answered || errno === undefined) {
    const applied = sent && errno !== idleTooLong ? "unknown" : "no";
    return driverError(`the connection failed${code === undefined ? "" : ` (${code})`}: ${error.message}`, {
      applied,
      retryable: true,
      cause: error,
    });
  }
  const remedy = remedies[errno];
  const said = `the server answered ${code ?? "an error"} (${errno}): ${error.sqlMessage ?? error.message}`;
  return driverError(remedy === undefined ? said : `${said}; ${remedy}`, {
    applied: undecided.includes(errno) ? "unknown" : "no",
    retryable: !denied.includes(errno) && (remedy === undefined || readOnly.includes(errno)),
    cause: error,
  });
}

/** What cannot be read is no answer of MySQL to our question, but of a proxy or of another program: what was applied is anyone's guess. */
export function malformed(cause: unknown): DriverError {
  return driverError("the server's answer is not one to the question", { applied: "unknown", retryable: true, cause });
}

/** The same error after an earlier statement of the call was applied: now nothing is certain. */
export function asUnknown(error: unknown): unknown {
  if (!isDriverError(error) || error.applied === "unknown") return error;
  return driverError(error.message, { applied: "unknown", retryable: error.retryable, cause: error.cause });
}

/** Whether the statement was rolled back for others' sake and can simply be sent again. */
export function isDeadlock(error: unknown): boolean {
  return errno(error) === deadlock;
}

export function isLockWaitTimeout(error: unknown): boolean {
  return errno(error) === lockWaitTimeout;
}

export function isReadOnly(error: unknown): boolean {
  return readOnly.includes(errno(error) ?? 0);
}

/** Whether the tables are not what they were when they were looked at. */
export function isSchemaFault(error: unknown): boolean {
  return errno(error) === noSuchTable || errno(error) === unknownColumn;
}

/** Of mysql2's own errors. */
export function isMissingTable(error: MysqlError): boolean {
  return error.errno === noSuchTable;
}

/** Whether the server keeps too many prepared statements already, or does not prepare this kind. */
export function cannotPrepare(error: unknown): boolean {
  return errno(error) === 1461 || errno(error) === 1295;
}

/** Whether the connection is gone and the statement certainly never reached the server. */
export function isUnsent(error: unknown): boolean {
  return isDriverError(error) && error.applied === "no" && error.retryable && [undefined, idleTooLong].includes(errno(error));
}

function errno(error: unknown): number | undefined {
  return isDriverError(error) ? (error.cause as MysqlError | undefined)?.errno : undefined;
}
