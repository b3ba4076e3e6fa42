/** What the "server" of this backend keeps: leases, queue places, watches, one token counter. It decides each claim at once; nothing waits. */
import type { AcquireClaim, AcquireResult, Clock, ExtendClaim, Holder, ReleaseClaim } from "@dlock/core";
import { systemClock, TransientMap } from "@dlock/core";
import { Watches } from "./watches.js";

interface Lease {
  readonly owner: string;
  readonly token: bigint;
  readonly mode: "exclusive" | "shared";
  readonly grantedAt: number;
  endsAt: number;
  readonly metadata: string | undefined;
}

/** Lists of records by key. */
interface Records<T> {
  get(key: string): T[] | undefined;
  set(key: string, records: T[]): unknown;
  delete(key: string): unknown;
}

interface Place {
  readonly owner: string;
  endsAt: number;
}

/**
 * State that several memory drivers of one process can share, as several clients share a server.
 *
 * @param options `clock`: decides when leases end. Default: `systemClock`.
 * @throws TypeError for a clock that is none.
 */
export function createMemoryStore(options: { clock?: Clock } = {}): MemoryStore {
  checkStoreOptions("options of createMemoryStore", options);
  return new MemoryStore(options.clock ?? systemClock);
}

export function checkStoreOptions(what: string, options: { clock?: Clock }): void {
  if (typeof options !== "object" || options === null) throw new TypeError(`the ${what} must be an object`);
  const { clock } = options;
  if (clock !== undefined && !(typeof clock?.now === "function" && typeof clock.setTimer === "function"))
    throw new TypeError("clock must be a Clock, with the methods now and setTimer");
}

export class MemoryStore {
  readonly clock: Clock;
  readonly watches: Watches;
  /** By key, in the order of the grants; ended leases stay until the key is touched or swept. No key has an empty list. */
  readonly #leases = new TransientMap<Lease[]>();
  /** By key, first come first (R13). Touched only while anyone queues. */
  readonly #places = new Map<string, Place[]>();
  /** One counter for all keys: it outlives every record, and no record has to outlive its lease for it (R6, R7). */
  #lastToken = 0n;

  constructor(clock: Clock) {
    this.clock = clock;
    this.watches = new Watches(clock, (key, now) => this.#nextEnd(key, now));
  }

  /** How many records are kept: leases and places, ended ones not yet removed included. */
  get size(): number {
    let size = 0;
    for (const [, leases] of this.#leases.entries()) size += leases.length;
    for (const places of this.#places.values()) size += places.length;
    return size;
  }

  acquire(claim: AcquireClaim, now: number): AcquireResult {
    const { key, owner, mode } = claim;
    const ttlMs = Math.max(1, Math.ceil(claim.ttlMs));
    const leases = prune(this.#leases, key, now);
    const own = leases?.find((lease) => lease.owner === owner);
    if (own !== undefined) {
      if (own.mode !== mode) return { acquired: false, retryAfterMs: Math.ceil(own.endsAt - now), holder: holderOf(own, now) };
      own.endsAt = Math.max(own.endsAt, now + ttlMs);
      return { acquired: true, token: own.token, ttlMs };
    }

    const places = this.#places.size === 0 ? undefined : prune(this.#places, key, now);
    const rank = places?.findIndex((place) => place.owner === owner) ?? -1;
    const ahead = places === undefined ? 0 : latestEnd(places, rank === -1 ? places.length : rank) - now;
    const behind = leases === undefined ? 0 : freeAt(claim, leases) - now;
    if (behind > 0 || ahead > 0) {
      if (rank !== -1) {
        const place = places?.[rank] as Place;
        place.endsAt = Math.max(place.endsAt, now + ttlMs);
      } else if (claim.queue === true) {
        append(this.#places, key, places, { owner, endsAt: now + ttlMs });
      }
      const holder = leases === undefined ? {} : { holder: holderOf(leases[0] as Lease, now) };
      return { acquired: false, retryAfterMs: Math.ceil(Math.max(behind, ahead)), ...holder };
    }

    this.#lastToken += 1n;
    const token = this.#lastToken;
    append(this.#leases, key, leases, { owner, token, mode, grantedAt: now, endsAt: now + ttlMs, metadata: claim.metadata });
    if (rank !== -1) remove(this.#places, key, places as Place[], rank);
    // The next place may be a shared one that can come in as well; and a watch learns when the new lease ends.
    this.watches.changed(key, rank !== -1);
    return { acquired: true, token, ttlMs };
  }

  extend({ key, owner, token, ttlMs, longestMs }: ExtendClaim, now: number): boolean {
    const lease = prune(this.#leases, key, now)?.find((each) => each.owner === owner);
    if (lease === undefined || lease.token !== token) return false;
    const endsAt = now + Math.max(1, Math.ceil(ttlMs));
    if (endsAt > lease.endsAt || lease.endsAt - now > longestMs) lease.endsAt = endsAt;
    return true;
  }

  release({ key, owner, token }: ReleaseClaim, now: number): boolean {
    if (token === undefined && this.#places.size > 0) this.#leaveQueue(key, owner, now);
    const leases = prune(this.#leases, key, now);
    const index = leases?.findIndex((lease) => lease.owner === owner && (token === undefined || lease.token === token)) ?? -1;
    if (leases === undefined || index === -1) return false;
    remove(this.#leases, key, leases, index);
    this.watches.changed(key, true);
    return true;
  }

  inspect(key: string, now: number): Holder[] {
    const live = this.#leases.get(key)?.filter((lease) => lease.endsAt > now);
    return live?.map((lease) => holderOf(lease, now)) ?? [];
  }

  keys(): string[] {
    return [...this.#leases.entries()].map(([key]) => key);
  }

  sweep(now: number): number {
    const before = this.size;
    for (const key of this.keys()) prune(this.#leases, key, now);
    for (const key of this.#places.keys()) prune(this.#places, key, now);
    return before - this.size;
  }

  #leaveQueue(key: string, owner: string, now: number): void {
    const places = prune(this.#places, key, now);
    const rank = places?.findIndex((place) => place.owner === owner) ?? -1;
    if (places === undefined || rank === -1) return;
    remove(this.#places, key, places, rank);
    this.watches.changed(key, true);
  }

  /** When the next lease or place of the key ends; undefined when there is none. */
  #nextEnd(key: string, now: number): number | undefined {
    const leases = prune(this.#leases, key, now) ?? [];
    const places = prune(this.#places, key, now) ?? [];
    if (leases.length + places.length === 0) return undefined;
    return [...leases, ...places].reduce((earliest, { endsAt }) => Math.min(earliest, endsAt), Number.POSITIVE_INFINITY);
  }
}

/** When enough of these leases have ended for the claim, if none is renewed or released; at or before now when nothing is in its way. */
function freeAt({ mode, limit = Number.POSITIVE_INFINITY }: AcquireClaim, leases: readonly Lease[]): number {
  // Leases are exclusive alone or all shared. All must end for an exclusive claim, or for a shared one behind an exclusive lease.
  const allowed = mode === "exclusive" || leases[0]?.mode === "exclusive" ? 0 : limit - 1;
  if (leases.length <= allowed) return Number.NEGATIVE_INFINITY;
  const ends = leases.map((lease) => lease.endsAt).sort((a, b) => a - b);
  return ends[leases.length - allowed - 1] as number;
}

/** When the first `count` places have all ended unless they are asked for again. */
function latestEnd(places: readonly Place[], count: number): number {
  let latest = Number.NEGATIVE_INFINITY;
  for (let rank = 0; rank < count; rank += 1) latest = Math.max(latest, (places[rank] as Place).endsAt);
  return latest;
}

/** What is left of a key's records at `now`; ended ones are removed. */
function prune<T extends { endsAt: number }>(map: Records<T>, key: string, now: number): T[] | undefined {
  const records = map.get(key);
  if (records === undefined || records.every((record) => record.endsAt > now)) return records;
  const live = records.filter((record) => record.endsAt > now);
  if (live.length > 0) map.set(key, live);
  else map.delete(key);
  return live.length > 0 ? live : undefined;
}

function append<T>(map: Records<T>, key: string, records: T[] | undefined, record: T): void {
  if (records === undefined) map.set(key, [record]);
  else records.push(record);
}

function remove<T>(map: Records<T>, key: string, records: T[], index: number): void {
  if (records.length === 1) map.delete(key);
  else records.splice(index, 1);
}

function holderOf({ owner, token, mode, grantedAt, endsAt, metadata }: Lease, now: number): Holder {
  const holder = { owner, token, mode, remainingMs: endsAt - now, heldMs: now - grantedAt };
  return metadata === undefined ? holder : { ...holder, metadata };
}
