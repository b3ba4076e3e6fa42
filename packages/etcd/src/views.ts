/** What `inspect`, `list` and `ping` ask, and where a waiter looks before it watches. None of it changes anything. */
import { type Claim, type Holder, type LockRecord, systemClock } from "@dlock/core";
import { Attempt } from "./attempt.js";
import type { Leases } from "./leases.js";
import type { Members } from "./members.js";
import type { Places } from "./places.js";
import { holderOf, kinds, type Records } from "./records.js";
import { impossible, type KeyValue, put, type Range, type RangeRequest, type RangeResponse } from "./wire.js";

const pageSize = 500;
/** The contract gives `list` no time of its own; each page gets this. */
const pageTimeoutMs = 5_000;

/** Where a waiter stands: what to watch, and from when. */
export interface Outlook {
  /** Whether its turn may have come already. */
  readonly ready: boolean;
  /** Nothing is gained before a record in this range is deleted. */
  readonly range: Range;
  readonly revision: string;
  /** Whether that deletion lets the waiter move up only, so that it has to look again. */
  readonly inQueue: boolean;
}

export class Views {
  readonly #members: Members;
  readonly #leases: Leases;
  readonly #records: Records;
  readonly #places: Places;

  constructor(members: Members, leases: Leases, records: Records, places: Places) {
    this.#members = members;
    this.#leases = leases;
    this.#records = records;
    this.#places = places;
  }

  async inspect(key: string, attempt: Attempt): Promise<Holder[]> {
    const { kvs } = await this.#range({ ...this.#records.holders(key), sort_target: "Create", sort_order: "Ascend" }, attempt);
    const records = await Promise.all(kvs.map((kv) => this.#recordOf(kv, attempt)));
    return records.filter((record) => record !== undefined).map(({ key: _, ...holder }) => holder);
  }

  async *list(prefix: string): AsyncGenerator<LockRecord> {
    const { key, range_end } = this.#records.under(prefix);
    for (let from = key; ; ) {
      const attempt = new Attempt(pageTimeoutMs, systemClock);
      const { kvs, more } = await this.#range({ key: from, ...(range_end && { range_end }), limit: pageSize }, attempt);
      for (const record of await Promise.all(kvs.map((kv) => this.#recordOf(kv, attempt)))) if (record !== undefined) yield record;
      const last = kvs.at(-1);
      if (!more || last === undefined) return;
      from = Buffer.concat([last.key, Buffer.from([0])]);
    }
  }

  /** A write that never happens: the cluster has to agree on that, and refuses it when it takes no writes. */
  async ping(attempt: Attempt): Promise<void> {
    const key = this.#records.aside("ping");
    await this.#members.call("KV", "txn", () => ({ compare: [impossible(key)], success: [put(key, Buffer.alloc(0), "0")] }), attempt);
  }

  async outlook(claim: Claim, attempt: Attempt): Promise<Outlook> {
    const place = this.#places.get(claim);
    if (place !== undefined) {
      const ahead = { max_create_revision: (BigInt(place.created) - 1n).toString(), limit: 1 };
      const { kvs, header } = await this.#range(
        { ...this.#records.queue(claim.key), ...ahead, sort_target: "Create", sort_order: "Descend" },
        attempt,
      );
      if (kvs[0] !== undefined) return { ready: false, range: { key: kvs[0].key }, revision: header.revision, inQueue: true };
    }
    // Who has no place, or the first one, waits for any lease to end.
    const range = place === undefined ? this.#records.all(claim.key) : this.#records.holders(claim.key);
    const { count, header } = await this.#range({ ...range, count_only: true }, attempt);
    return { ready: count === "0", range, revision: header.revision, inQueue: false };
  }

  #range(request: RangeRequest, attempt: Attempt): Promise<RangeResponse> {
    return this.#members.call<RangeResponse>("KV", "range", () => request, attempt);
  }

  /** Undefined for a queue place, and for a record whose lease has ended since it was read. */
  async #recordOf(kv: KeyValue, attempt: Attempt): Promise<LockRecord | undefined> {
    const parsed = this.#records.parse(kv.key);
    if (parsed === undefined || parsed.kind === kinds.mutex.place) return undefined;
    const age = await this.#leases.knownAge(kv.lease, attempt);
    return age && { key: parsed.key, ...holderOf(kv, parsed, age) };
  }
}
