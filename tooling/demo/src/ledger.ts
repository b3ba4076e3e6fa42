/**
 * The ledger the executions post to: a table that takes whatever it is given, twice if need be, and beside it the fence: for each execution
 * the highest token that was ever shown to the ledger. Who shows a smaller one is refused.
 *
 * Looking counts as showing. If only writes raised the fence, an old holder could still write between its successor's look ("not posted yet")
 * and its successor's write, and both writes would stand.
 */
import Database from "better-sqlite3";
import type { Execution } from "./executions.js";

export interface Posting {
  readonly id: string;
  readonly amount: number;
  readonly worker: string;
  /** The token it was written with, in decimal. */
  readonly token: string;
}

export class Ledger {
  readonly #db: Database.Database;
  readonly #fenced: boolean;

  constructor(file: string, fenced: boolean) {
    this.#db = new Database(file);
    this.#fenced = fenced;
    this.#db.pragma("journal_mode = WAL");
    this.#db.pragma("synchronous = NORMAL");
    this.#db.exec(`
      CREATE TABLE IF NOT EXISTS postings (id TEXT NOT NULL, amount INTEGER NOT NULL, worker TEXT NOT NULL, token TEXT NOT NULL);
      CREATE INDEX IF NOT EXISTS postings_by_id ON postings (id);
      CREATE TABLE IF NOT EXISTS fence (id TEXT PRIMARY KEY, token TEXT NOT NULL);`);
  }

  /** Whether the execution was posted; for those who hold no lock, and decide nothing by it. */
  isPosted(id: string): boolean {
    return this.#db.prepare("SELECT 1 FROM postings WHERE id = ?").get(id) !== undefined;
  }

  /** Under the lock: whether the execution still has to be posted, or the token is no longer the newest. */
  look(id: string, token: bigint): "open" | "posted" | "stale" {
    return this.#db.transaction(() => (this.#show(id, token) ? (this.isPosted(id) ? "posted" : "open") : "stale")).immediate();
  }

  /** Posts, unless a newer token was shown; resolves to whether it did. Fence and posting are one transaction. */
  post({ id, amount }: Execution, worker: string, token: bigint): boolean {
    return this.#db
      .transaction(() => {
        if (!this.#show(id, token)) return false;
        this.#db.prepare("INSERT INTO postings (id, amount, worker, token) VALUES (?, ?, ?, ?)").run(id, amount, worker, String(token));
        return true;
      })
      .immediate();
  }

  postings(): Posting[] {
    return this.#db.prepare<[], Posting>("SELECT id, amount, worker, token FROM postings ORDER BY rowid").all();
  }

  close(): void {
    this.#db.close();
  }

  /** Raises the fence to the token; false when it stands higher. */
  #show(id: string, token: bigint): boolean {
    if (!this.#fenced) return true;
    const fence = this.#db.prepare<[string], { token: string }>("SELECT token FROM fence WHERE id = ?").get(id);
    if (fence !== undefined && BigInt(fence.token) > token) return false;
    this.#db
      .prepare("INSERT INTO fence (id, token) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET token = excluded.token")
      .run(id, String(token));
    return true;
  }
}
