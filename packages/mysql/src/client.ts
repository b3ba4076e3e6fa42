/** The part of mysql2 that the driver uses. Pools of `mysql2` and of `mysql2/promise` fit. */

import { isServerToken } from "@dlock/core";
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

/** The answer to one statement. What is asked of it and is not there, or is no such thing, is a TypeError: then it answers another question. */
export class Answer {
  readonly #result: unknown;

  constructor(result: unknown) {
    this.#result = result;
  }

  get rows(): readonly (readonly Cell[])[] {
    if (!Array.isArray(this.#result) || !this.#result.every(Array.isArray)) throw new TypeError("no rows");
    return this.#result;
  }

  get affected(): number {
    const { affectedRows } = this.#packet;
    if (!Number.isSafeInteger(affectedRows) || (affectedRows as number) < 0) throw new TypeError("no number of rows");
    return affectedRows as number;
  }

  /** What `LAST_INSERT_ID(expr)` was given in the statement. */
  get insertId(): bigint {
    // A number below 2^53, or a string, depending on the connection's options.
    const insertId = BigInt(this.#packet.insertId as number | string | bigint);
    if (insertId !== 0n && !isServerToken(insertId)) throw new TypeError("no number of a claim, and no token");
    return insertId;
  }

  get #packet(): { readonly affectedRows?: unknown; readonly insertId?: unknown } {
    if (typeof this.#result !== "object" || this.#result === null) throw new TypeError("no packet");
    return this.#result;
  }
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
