/**
 * Where the records of a lock are and what is in them. A record is `{prefix}{key}FF{kind}{slot}`: the byte FF occurs in no UTF-8, so no key
 * can name another's record, and all records of a key are one range. The mode is part of the name because etcd can compare names over ranges
 * but not values. The owner is not: a deleted name costs every later look at its range until etcd is compacted, so names are used again.
 */
import { type DriverError, driverError, type Holder, isServerToken } from "@dlock/core";
import { malformed } from "./failures.js";
import type { LeaseAge } from "./leases.js";
import type { KeyValue, Range } from "./wire.js";

/** Ordered so that what is in the way of a shared claim is one range: see `conflicts`. */
export const kinds = {
  mutex: { place: "mq", shared: "ms", exclusive: "mx" },
  txn: { exclusive: "tx", shared: "ty" },
} as const;

export type Strategy = keyof typeof kinds;
type Mode = "exclusive" | "shared";

const separator = Buffer.from([0xff]);

/** A range of more than one key. */
type Bounded = Range & { readonly range_end: Buffer };

export interface Parsed {
  readonly key: string;
  readonly kind: string;
}

export class Records {
  readonly #prefix: Buffer;
  readonly strategy: Strategy;
  /** The last key and the range of its records: a claim asks for several names in a row. */
  #key = "";
  #all: Bounded = { key: Buffer.alloc(0), range_end: Buffer.alloc(0) };

  constructor(prefix: string, strategy: Strategy) {
    this.#prefix = Buffer.from(prefix);
    this.strategy = strategy;
  }

  exclusive(key: string): Buffer {
    return Buffer.concat([this.#base(key), Buffer.from(kinds[this.strategy].exclusive)]);
  }

  /** @param slot a small number that no live shared lease of the key has. */
  slot(key: string, slot: number): Buffer {
    return Buffer.concat([this.#base(key), Buffer.from(kinds[this.strategy].shared + slot)]);
  }

  /** @param name of a place that nobody else uses. */
  place(key: string, name: string): Buffer {
    return Buffer.concat([this.#base(key), Buffer.from(kinds.mutex.place + name)]);
  }

  /** All records of a key, of both strategies. */
  all(key: string): Bounded {
    if (key !== this.#key) {
      this.#key = key;
      const end = Buffer.concat([this.#prefix, Buffer.from(key), separator, separator]);
      this.#all = { key: end.subarray(0, -1), range_end: end };
    }
    return this.#all;
  }

  /** All leases of a key, of both strategies: everything but queue places. */
  holders(key: string): Range {
    return this.#span(key, kinds.mutex.shared);
  }

  shared(key: string): Range {
    const base = this.#base(key);
    const kind = kinds[this.strategy].shared;
    return { key: Buffer.concat([base, Buffer.from(kind)]), range_end: Buffer.concat([base, Buffer.from(kind), separator]) };
  }

  queue(key: string): Range {
    const base = this.#base(key);
    return {
      key: Buffer.concat([base, Buffer.from(kinds.mutex.place)]),
      range_end: Buffer.concat([base, Buffer.from(kinds.mutex.shared)]),
    };
  }

  /** What must be empty for the claim, limits and the queue apart: the other strategy's records are always among it. */
  conflicts(key: string, mode: Mode): Range {
    if (this.strategy === "mutex") return mode === "exclusive" ? this.holders(key) : this.#span(key, kinds.mutex.exclusive);
    if (mode === "exclusive") return this.all(key);
    const base = this.#base(key);
    return { key: base, range_end: Buffer.concat([base, Buffer.from(kinds.txn.shared)]) };
  }

  /** Records of all keys that start with `prefix`, and perhaps records that `parse` does not know. */
  under(prefix: string): Range {
    const key = Buffer.concat([this.#prefix, Buffer.from(prefix)]);
    return { key: key.length === 0 ? Buffer.from([0]) : key, range_end: end(key) };
  }

  /** A key of our own that is no record. */
  aside(name: string): Buffer {
    return Buffer.concat([this.#prefix, separator, Buffer.from(name)]);
  }

  /** Undefined for what is not a record of a lock. */
  parse(name: Buffer): Parsed | undefined {
    const at = name.indexOf(0xff, this.#prefix.length);
    if (at <= this.#prefix.length) return undefined;
    return {
      key: name.toString("utf8", this.#prefix.length, at),
      kind: name.toString("latin1", at + 1, at + 3),
    };
  }

  #base(key: string): Buffer {
    return this.all(key).key;
  }

  #span(key: string, from: string): Range {
    const { key: base, range_end } = this.all(key);
    return { key: Buffer.concat([base, Buffer.from(from)]), range_end };
  }
}

/** The first name after all that start with `key`. */
function end(key: Buffer): Buffer {
  for (let index = key.length - 1; index >= 0; index -= 1) {
    if (key[index] === 0xff) continue;
    const after = Buffer.from(key.subarray(0, index + 1));
    after[index] = (after[index] as number) + 1;
    return after;
  }
  // etcd's way to say "to the last key".
  return Buffer.from([0]);
}

/** The other strategy's name when a record of this kind belongs to it. */
export function foreign(kind: string, strategy: Strategy): Strategy | undefined {
  const owner: Strategy = kind.startsWith("m") ? "mutex" : "txn";
  return owner === strategy ? undefined : owner;
}

/** Durations only: no client's time crosses the wire. The age of the lease, which the server knows, tells how much later it is. */
export interface Value {
  readonly owner: string;
  /** The TTL promised at this put, in ms. */
  readonly ttl: number;
  /** How old the lease was at this put, in ms. */
  readonly age: number;
  /** How long the lock had been held at this put, in ms. */
  readonly held: number;
  readonly meta?: string;
}

export const encode = (value: Value): Buffer => Buffer.from(JSON.stringify(value));

/** @throws DriverError for what is no record of dlock's. */
export function decode(bytes: Buffer): Value {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString());
  } catch {
    throw notOurs();
  }
  if (!isValue(value)) throw notOurs();
  return value;
}

function isValue(value: unknown): value is Value {
  const { owner, ttl, age, held, meta } = (value ?? {}) as Record<string, unknown>;
  return typeof owner === "string" && [ttl, age, held].every(isDuration) && (meta === undefined || typeof meta === "string");
}

const isDuration = (value: unknown) => typeof value === "number" && value >= 0 && Number.isFinite(value);

/** A revision as a fencing token. @throws DriverError for a number that no revision is. */
export function tokenOf(revision: string): bigint {
  const token = BigInt(revision);
  if (!isServerToken(token)) throw malformed(`a revision is ${revision}`).toDriverError(true);
  return token;
}

/** Something else lies where a record of the lock would be. */
export function notOurs(): DriverError {
  return driverError("a record of this lock in etcd is none that dlock has written: delete it, or choose another prefix", {
    applied: "no",
    retryable: false,
  });
}

/** Milliseconds since the record was last put. */
const sincePut = ({ age }: Value, lease: LeaseAge): number => Math.max(0, lease.ageMs - age);

/** What is left of the promise made at the last put. */
export const promised = (value: Value, lease: LeaseAge): number => value.ttl - sincePut(value, lease);

/** How long the lock has been held by now. */
export const heldMs = (value: Value, lease: LeaseAge): number => value.held + sincePut(value, lease);

export const modeOf = (kind: string): Mode => (kind === kinds.txn.shared || kind === kinds.mutex.shared ? "shared" : "exclusive");

/** What an owner has among these records. */
export const ownOf = (kvs: readonly KeyValue[], owner: string): KeyValue[] => kvs.filter((kv) => decode(kv.value).owner === owner);

export function holderOf(kv: KeyValue, { kind }: Parsed, lease: LeaseAge): Holder {
  const value = decode(kv.value);
  return {
    owner: value.owner,
    token: tokenOf(kv.create_revision),
    mode: modeOf(kind),
    // A promise that is over leaves the record until the server looks for ended leases: it is still in everybody's way.
    remainingMs: Math.max(1, promised(value, lease)),
    heldMs: heldMs(value, lease),
    ...(value.meta === undefined ? {} : { metadata: value.meta }),
  };
}
