/** What this driver last put for the claims of its own: a renewal or a place's turn then needs one message, and a late one undoes nothing. */
import type { Claim } from "@dlock/core";

export interface HeldRecord {
  /** The name of the record. */
  readonly name: Buffer;
  /** Create revision of the record: the token. */
  readonly created: string;
  readonly modified: string;
  /** By the local clock: the record lives at least until then. */
  readonly endsAt: number;
  /** By the local clock: until when the holder was promised to have it. */
  readonly promisedUntil: number;
  /** By the local clock. */
  readonly grantedAt: number;
  readonly meta: string | undefined;
}

/** A place in the queue of strategy `mutex`. */
export interface PlaceRecord {
  readonly name: Buffer;
  /** Its create revision: its rank. */
  readonly created: string;
  readonly endsAt: number;
}

const firstPruneAt = 1_024;

export class Ledger<T extends { readonly endsAt: number }> {
  readonly #records = new Map<string, T>();
  #pruneAt = firstPruneAt;

  get(claim: Claim): T | undefined {
    return this.#records.get(nameOf(claim));
  }

  set(claim: Claim, record: T, now: number): void {
    this.#records.set(nameOf(claim), record);
    if (this.#records.size >= this.#pruneAt) this.prune(now);
  }

  delete(claim: Claim): void {
    this.#records.delete(nameOf(claim));
  }

  /** Forgets what has ended: nobody has to tell us of a lock that was lost. */
  prune(now: number): void {
    for (const [name, { endsAt }] of this.#records) if (endsAt < now) this.#records.delete(name);
    this.#pruneAt = Math.max(firstPruneAt, 2 * this.#records.size);
  }
}

/** The length keeps ("a", "bc") and ("ab", "c") apart. */
const nameOf = ({ key, owner }: Claim): string => `${key.length}:${key}${owner}`;
