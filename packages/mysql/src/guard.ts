/** The guard for data in the database the locks are in: inside of the user's own transaction, work and lock commit together or not at all. */
import { fenceOf, type Lock, LockLostError } from "@dlock/core";
import { type Cell, type MysqlError, type QueryOptions, rawQuery } from "./client.js";
import { isMissingTable } from "./faults.js";
import type { MysqlDriverOptions } from "./options.js";
import { bytes, now, type Tables, tables } from "./sql.js";

/** A connection of `mysql2/promise`, out of a pool or not; of one of `mysql2` its `promise()`. */
export interface MysqlTransaction {
  query(options: QueryOptions): Promise<unknown>;
}

/**
 * Makes a guard for writes to the server the locks are on. Call it with the lock inside of each transaction that the lock protects; a
 * transaction it rejects in must be rolled back.
 *
 * It locks the row of the lock until the transaction ends, and requires the lease to be live with this lock's token. A successor is granted
 * the lock by a write to that row: so either he was granted it before, and this transaction is refused, or he waits until it has committed,
 * even if the lease ends meanwhile. Nor can the lease be renewed or released meanwhile, so guard at the end of a long transaction. Whoever
 * unlocks while the transaction is under way gives up its protection.
 *
 * The server must be the one that grants the locks: not a replica of it, nor another writer of a cluster of several.
 *
 * @param options the `table` and the `schema` of the driver.
 * @returns what takes the connection that the transaction was begun on, and the handle of a lock. It rejects with LockLostError (reason
 * `fenced`) when the lease is not live with this lock's token; TypeError outside of a transaction, for what is no lock, for a shared one and
 * for a database without lock tables; LockNotHeldError for a lock that is released or lost; and with the errors of mysql2, such as 1205 when
 * another transaction has kept the row.
 * @throws TypeError or RangeError for a name that cannot be one.
 */
export function mysqlGuard(
  options: Pick<MysqlDriverOptions, "table" | "schema"> = {},
): (connection: MysqlTransaction, lock: Lock) => Promise<void> {
  const names = tables(options.table, options.schema);
  return async (connection, lock) => {
    const { key, serverToken } = fenceOf(lock);
    await requireTransaction(connection);
    const row = await lockRow(connection, names, key);
    if (row === undefined || String(row.token) !== String(serverToken) || !row.live) throw new LockLostError(key, "fenced");
  };
}

const inTransaction = 1;
const autocommit = 2;

/** MySQL has no variable that tells, but each answer without rows carries the session's state (SERVER_STATUS_IN_TRANS in the protocol). */
async function requireTransaction(connection: MysqlTransaction): Promise<void> {
  const [{ serverStatus }] = (await connection.query(rawQuery("DO 0"))) as [{ serverStatus: number }];
  // Without autocommit the guard's own statement begins the transaction, if nothing did before.
  if ((serverStatus & autocommit) !== 0 && (serverStatus & inTransaction) === 0)
    throw new TypeError("a guard works inside of the transaction that writes: begin it before, on this very connection");
}

/**
 * A locking read, which sees what others committed in whatever isolation the transaction is.
 *
 * The user's session may be in any time zone and its `timestamp` may stand still, so `NOW()` and `UTC_TIMESTAMP()` are of no use. `SYSDATE`
 * heeds only the zone, and is evaluated for the row when its lock is won. The zone is set for this one statement: MariaDB runs what is in a
 * comment that begins with `M!` (and a version that it has reached), MySQL what is in one that begins with `+`.
 *
 * From 11.6.2 on MariaDB refuses to lock a row that changed since the transaction's snapshot, as that of each renewed lease did. The other
 * rows of the transaction keep that protection.
 */
async function lockRow(connection: MysqlTransaction, { leases }: Tables, key: string): Promise<{ token: Cell; live: boolean } | undefined> {
  const sql =
    "/*M! SET STATEMENT time_zone = '+00:00' */ /*M!110602 , innodb_snapshot_isolation = OFF */ /*M! FOR */ SELECT /*+ SET_VAR(time_zone = '+00:00') */ " +
    `token, expires_at > ${now}, NOW() = UTC_TIMESTAMP() FROM ${leases} FORCE INDEX (PRIMARY) WHERE lock_key = ${bytes(key)} FOR UPDATE`;
  const [rows] = (await connection.query(rawQuery(sql)).catch((error: MysqlError) => {
    if (!isMissingTable(error)) throw error;
    throw new TypeError(`the guard's table and schema must be the driver's: there is no table ${leases}`, { cause: error });
  })) as [Cell[][]];
  const [row] = rows;
  if (row === undefined) return undefined;
  const [token = null, live, inUtc] = row;
  if (String(inUtc) !== "1") throw new TypeError("the server does not set the time zone of one statement: SET time_zone = '+00:00'");
  return { token, live: String(live) === "1" };
}
