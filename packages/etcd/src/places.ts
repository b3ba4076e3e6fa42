/** The places that this driver has in queues. A place is the driver's that took it: another one that asks for its owner stands apart. */
import type { Claim } from "@dlock/core";
import { Ledger, type PlaceRecord } from "./ledger.js";
import type { Records } from "./records.js";

export class Places {
  readonly #records: Records;
  readonly #driver: string;
  readonly #ledger = new Ledger<PlaceRecord>();
  /** Until when a name is taken, by the local clock. */
  readonly #inUse = new Map<string, number>();

  /** @param driver what no other driver is called. */
  constructor(records: Records, driver: string) {
    this.#records = records;
    this.#driver = driver;
  }

  get(claim: Claim): PlaceRecord | undefined {
    return this.#ledger.get(claim);
  }

  /** A name for a new place: the first that none of our places has, so that a key sees few names however often it is waited for. */
  name({ key }: Claim, now: number): Buffer {
    for (let slot = 0; ; slot += 1) {
      const name = this.#records.place(key, `${this.#driver}.${slot}`);
      if ((this.#inUse.get(name.toString("latin1")) ?? 0) <= now) return name;
    }
  }

  set(claim: Claim, place: PlaceRecord, now: number): void {
    this.#inUse.set(place.name.toString("latin1"), place.endsAt);
    this.#ledger.set(claim, place, now);
  }

  delete(claim: Claim): void {
    const place = this.#ledger.get(claim);
    if (place === undefined) return;
    this.#inUse.delete(place.name.toString("latin1"));
    this.#ledger.delete(claim);
  }

  prune(now: number): void {
    this.#ledger.prune(now);
    for (const [name, endsAt] of this.#inUse) if (endsAt <= now) this.#inUse.delete(name);
  }
}
