/** Which leases of the file are live: the only place that compares the times in it. */
import type { Holder } from "@dlock/core";
import type { HostClock } from "./host-clock.js";
import type { LeaseRow } from "./schema.js";

/** A lease of another boot or time namespace, as this process first saw it standing like that. */
interface Sighting {
  expiresAt: bigint;
  at: bigint;
}

export class Leases {
  readonly clock: HostClock;
  /** By token, which is unique in the file. */
  readonly #foreign = new Map<bigint, Sighting>();

  constructor(clock: HostClock) {
    this.clock = clock;
  }

  /**
   * Microseconds until the lease ends; zero or less when it has ended.
   *
   * A lease written in another clock says nothing about when it ends in ours, but its holder renews it well within its TTL: it is honoured
   * until it stood unchanged for its TTL since this process first saw it so. A lease of our clock's name that would outlast its own TTL
   * comes from before a reboot on a system that does not name its boots.
   */
  remaining(row: LeaseRow, now: bigint): bigint {
    const left = row.expires_at_us - now;
    if (row.clock === this.clock.identity && left <= row.ttl_us) return left;
    const seen = this.#foreign.get(row.token);
    if (seen !== undefined && seen.expiresAt === row.expires_at_us) return seen.at + row.ttl_us - now;
    this.#foreign.set(row.token, { expiresAt: row.expires_at_us, at: now });
    return row.ttl_us;
  }

  /** Forgets every sighting except of these tokens, so that what is remembered stays bounded by what is in the file. */
  keepSightings(tokens: ReadonlySet<bigint>): void {
    for (const token of this.#foreign.keys()) if (!tokens.has(token)) this.#foreign.delete(token);
  }

  /** How the contract shows a live lease. */
  describe(row: LeaseRow, remaining: bigint, now: bigint): Holder {
    // A foreign clock's granting time means nothing here; what we know is for how long we have seen it.
    const held = row.clock === this.clock.identity ? now - row.granted_at_us : row.ttl_us - remaining;
    return {
      owner: row.owner,
      token: row.token,
      mode: row.mode,
      remainingMs: Number(remaining) / 1_000,
      heldMs: Math.max(0, Number(held) / 1_000),
      ...(row.metadata === null ? {} : { metadata: row.metadata }),
    };
  }
}
