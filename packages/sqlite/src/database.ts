/** The part of better-sqlite3 this driver uses, as types: users may hand in a connection of any copy or version that has it. */

/** An open better-sqlite3 `Database`. */
export interface SqliteDatabase {
  readonly name: string;
  readonly open: boolean;
  readonly memory: boolean;
  readonly inTransaction: boolean;
  prepare(source: string): SqliteStatement;
  exec(source: string): unknown;
  pragma(source: string, options?: { simple?: boolean }): unknown;
  close(): unknown;
}

export interface SqliteStatement {
  // biome-ignore lint/suspicious/noExplicitAny: better-sqlite3's own types bind `any` tuples, which no narrower parameter list accepts
  run(...params: any[]): unknown;
  // biome-ignore lint/suspicious/noExplicitAny: as above
  get(...params: any[]): unknown;
  // biome-ignore lint/suspicious/noExplicitAny: as above
  all(...params: any[]): unknown[];
  pluck(toggle?: boolean): this;
  safeIntegers(toggle?: boolean): this;
}
