/** What this driver last put for the claims of its own: a renewal or a place's turn then needs one message, and a late one undoes nothing. */
import { type Claim, TransientMap } from "@dlock/core";

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

const fewestBetweenPrunes = 1_024;

export class Ledger<T extends { readonly endsAt: number }> {
  readonly #records = new TransientMap<T>();
  #untilPrune = fewestBetweenPrunes;

  get(claim: Claim): T | undefined {
    return this.#records.get(nameOf(claim));
  }

  set(claim: Claim, record: T, now: number): void {
    this.#records.set(nameOf(claim), record);
    this.#untilPrune--;
    if (this.#untilPrune <= 0) this.prune(now);
  }

  delete(claim: Claim): void {
    this.#records.delete(nameOf(claim));
  }

  /** Forgets what has ended: nobody has to tell us of a lock that was lost. */
  prune(now: number): void {
    let left = 0;
    for (const [name, { endsAt }] of this.#records.entries()) {
      if (endsAt < now) this.#records.delete(name);
      else left++;
    }
    // As often as all that is left has been put anew: looking through it costs little for each.
    this.#untilPrune = Math.max(fewestBetweenPrunes, left);
  }
}

/** The length keeps ("a", "bc") and ("ab", "c") apart. */
const nameOf = ({ key, owner }: Claim): string => `${key.length}:${key}${owner}`;
