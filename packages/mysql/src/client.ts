/** The part of mysql2 that the driver uses. Pools of `mysql2` and of `mysql2/promise` fit. */

import type { Statement } from "./sql.js";

/** A pool of `mysql2`. */
export interface MysqlPool {
  getConnection(callback: (error: NodeJS.ErrnoException | null, connection: MysqlConnection) => void): void;
  readonly config?: { readonly connectionLimit?: number };
}

/** A pool of `mysql2/promise`, which keeps the other kind inside. */
export interface MysqlPromisePool {
  readonly pool: MysqlPool;
}

export interface MysqlConnection {
  query(options: QueryOptions, callback: (error: MysqlError | null, result: unknown) => void): unknown;
  execute(options: QueryOptions, callback: (error: MysqlError | null, result: unknown) => void): unknown;
  reset(callback: (error: MysqlError | null) => void): unknown;
  release?(): void;
  destroy(): void;
  on(event: string, listener: (error?: unknown) => void): unknown;
}

export interface QueryOptions {
  readonly sql: string;
  readonly values?: (string | Buffer | null)[];
  readonly rowsAsArray: boolean;
  readonly nestTables: boolean;
  readonly typeCast: (field: { buffer(): Cell }) => unknown;
}

/** What mysql2 rejects with: `errno` is the server's number when the server answered, `fatal` says that the connection is gone. */
export interface MysqlError {
  readonly message: string;
  readonly code?: string | undefined;
  readonly errno?: number | undefined;
  readonly sqlState?: string | undefined;
  readonly sqlMessage?: string | undefined;
  readonly fatal?: boolean | undefined;
}

export type Cell = Buffer | null;

/** The answer to one statement. */
export interface Answer {
  readonly rows: readonly (readonly Cell[])[];
  readonly affected: number;
  /** What `LAST_INSERT_ID(expr)` was given in the statement. */
  readonly insertId: bigint;
}

/** A function: a caller's own would win over `false`. */
const raw = (field: { buffer(): Cell }) => field.buffer();

/**
 * Asks for raw cells in arrays: whatever type casting, number or date options the caller's connections have, these are bytes.
 * Nothing is interpolated by mysql2, so `queryFormat` and `namedPlaceholders` play no part either.
 */
export function rawQuery(sql: string): QueryOptions {
  return { sql, rowsAsArray: true, nestTables: false, typeCast: raw };
}

export function preparedQuery({ prepared, values }: Statement): QueryOptions {
  return { ...rawQuery(prepared), values: [...values] };
}

export function toAnswer(result: unknown): Answer {
  if (Array.isArray(result)) return { rows: result as Cell[][], affected: 0, insertId: 0n };
  const { affectedRows, insertId } = result as { affectedRows: number; insertId: number | string | bigint };
  // A number below 2^53, or a string, depending on the connection's options.
  return { rows: [], affected: Number(affectedRows), insertId: BigInt(insertId) };
}
