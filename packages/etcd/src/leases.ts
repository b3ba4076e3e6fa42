/**
 * Leases that keep each lock's expiry its own: granted for a TTL class and a short window, shared by the claims of that window, never kept
 * alive and never revoked. And what the server says about the age of any lease.
 */
import type { Attempt } from "./attempt.js";
import { malformed } from "./failures.js";
import type { Members } from "./members.js";

export interface Lease {
  readonly id: string;
  /** What a claim that uses it is promised, in ms. */
  readonly ttlMs: number;
  /** By the local clock, before the grant was sent. */
  readonly grantedAt: number;
  /** By the local clock: the lease lives at least until then. */
  readonly endsAt: number;
}

/** The age of a lease as the server tells it, right to half a second. */
export interface LeaseAge {
  readonly ageMs: number;
  /** At most this long until the server looks whether it has ended. */
  readonly leftMs: number;
  /** At least this long. */
  readonly leftAtLeastMs: number;
}

interface Seen {
  readonly grantedMs: number;
  readonly leftMs: number;
  readonly at: number;
}

/** What etcd keeps with its default election timeout (1.5 × 1 s, in whole seconds). */
export const minTtlMs = 2_000;
export const ttlStepMs = 1_000;
const mostSeen = 4_096;

/** A TTL as the server can keep it. */
export const roundUp = (ttlMs: number): number => Math.ceil(Math.max(ttlMs, minTtlMs) / ttlStepMs) * ttlStepMs;

export class Leases {
  readonly #members: Members;
  /** The newest lease of each class. */
  readonly #current = new Map<number, Lease>();
  /** Leases of others (and old ones of our own), for hints. */
  readonly #seen = new Map<string, Seen>();

  constructor(members: Members) {
    this.#members = members;
  }

  /** A lease for a claim that is sent now: it ends no sooner than `ttlMs` from now. */
  async take(ttlMs: number, attempt: Attempt): Promise<Lease> {
    const seconds = roundUp(ttlMs) / ttlStepMs;
    const current = this.#current.get(seconds);
    if (current !== undefined && current.endsAt >= attempt.clock.now() + current.ttlMs) return current;

    // Long TTLs bear a longer window: fewer leases, and a dead holder is found out a twentieth later.
    const windowSeconds = Math.min(10, Math.max(1, Math.ceil(seconds / 20)));
    let grantedAt = 0;
    const { ID, TTL } = await this.#members.call<{ ID: string; TTL: string }>(
      "Lease",
      "leaseGrant",
      () => {
        grantedAt = attempt.clock.now();
        return { ID: "0", TTL: String(seconds + windowSeconds) };
      },
      attempt,
    );
    const givenMs = Number(TTL) * 1_000;
    if (!(givenMs >= (seconds + windowSeconds) * 1_000) || ID === "0")
      throw malformed(`a lease of ${seconds + windowSeconds} s was asked for, and ${ID} of ${TTL} s was granted`);
    const lease = { id: ID, ttlMs: givenMs - windowSeconds * 1_000, grantedAt, endsAt: grantedAt + givenMs };
    if (this.#current.size >= 256) this.#drop(attempt.clock.now());
    this.#current.set(seconds, lease);
    return lease;
  }

  /** The server knows one of our leases no more: trust none of them. */
  forget(): void {
    this.#current.clear();
  }

  /** Asks the server; undefined when the lease has ended. */
  async age(id: string, attempt: Attempt): Promise<LeaseAge | undefined> {
    const reply = await this.#members.call<{ TTL: string; grantedTTL: string }>("Lease", "leaseTimeToLive", () => ({ ID: id }), attempt);
    const leftMs = Number(reply.TTL) * 1_000;
    if (leftMs < 0) {
      this.#seen.delete(id);
      return undefined;
    }
    const seen = { grantedMs: Number(reply.grantedTTL) * 1_000, leftMs, at: attempt.clock.now() };
    for (const oldest of this.#seen.keys()) {
      if (this.#seen.size < mostSeen) break;
      this.#seen.delete(oldest);
    }
    this.#seen.set(id, seen);
    return ageOf(seen, seen.at);
  }

  /** Like `age`, for what is only shown to people or used as a hint: remembers an answer, since a lease only ever grows older. */
  async knownAge(id: string, attempt: Attempt): Promise<LeaseAge | undefined> {
    const seen = this.#seen.get(id);
    const now = attempt.clock.now();
    // One that should have ended by now may have been given its full time again by a new leader.
    if (seen !== undefined && now - seen.at < seen.leftMs) return ageOf(seen, now);
    return this.age(id, attempt);
  }

  #drop(now: number): void {
    for (const [seconds, lease] of this.#current) if (lease.endsAt < now) this.#current.delete(seconds);
  }
}

/** The server counts whole seconds, rounded down. */
function ageOf({ grantedMs, leftMs, at }: Seen, now: number): LeaseAge {
  const passed = now - at;
  return {
    ageMs: grantedMs - leftMs - 500 + passed,
    leftMs: Math.min(grantedMs, leftMs + 1_000) - passed,
    leftAtLeastMs: leftMs - passed,
  };
}
