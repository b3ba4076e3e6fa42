/** An honest little lock server on a virtual clock: what the scripted driver speaks to. It decides each claim at once. */
import type { AcquireClaim, AcquireResult, Clock, ExtendClaim, Holder, ReleaseClaim } from "../../src/index.ts";

interface LeaseRecord {
  readonly owner: string;
  readonly token: bigint;
  readonly mode: "exclusive" | "shared";
  readonly grantedAt: number;
  endsAt: number;
  readonly metadata: string | undefined;
  /** Whether it was in the way of a claim: only then is its end told of, and a driver need do no more. */
  refused: boolean;
}

export class LockTable {
  readonly #clock: Clock;
  readonly #leases = new Map<string, LeaseRecord[]>();
  readonly #watches = new Map<string, Set<() => void>>();
  #token = 0n;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  acquire(claim: AcquireClaim): AcquireResult {
    const { key, owner, mode, ttlMs, metadata } = claim;
    const now = this.#clock.now();
    const live = this.#live(key);
    const own = live.find((lease) => lease.owner === owner);
    if (own !== undefined && own.mode === mode) {
      own.endsAt = Math.max(own.endsAt, now + ttlMs);
      return { acquired: true, token: own.token, ttlMs };
    }
    const free =
      mode === "exclusive"
        ? live.length === 0
        : live.every((lease) => lease.mode === "shared") && live.length < (claim.limit ?? Number.POSITIVE_INFINITY);
    if (!free || own !== undefined) {
      const [first] = live as [LeaseRecord];
      for (const lease of live) lease.refused = true;
      return { acquired: false, retryAfterMs: Math.min(...live.map((lease) => lease.endsAt)) - now, holder: this.#holder(first) };
    }
    this.#token += 1n;
    live.push({ owner, token: this.#token, mode, grantedAt: now, endsAt: now + ttlMs, metadata, refused: false });
    return { acquired: true, token: this.#token, ttlMs };
  }

  extend({ key, owner, token, ttlMs, longestMs }: ExtendClaim): boolean {
    const now = this.#clock.now();
    const lease = this.#live(key).find((each) => each.owner === owner && each.token === token);
    if (lease === undefined) return false;
    if (now + ttlMs > lease.endsAt || lease.endsAt - now > longestMs) lease.endsAt = now + ttlMs;
    return true;
  }

  release({ key, owner, token }: ReleaseClaim): boolean {
    const live = this.#live(key);
    const index = live.findIndex((lease) => lease.owner === owner && (token === undefined || lease.token === token));
    if (index < 0) return false;
    const [ended] = live.splice(index, 1);
    if (ended?.refused) this.notify(key);
    return true;
  }

  /** The live holders of a key. */
  holders(key: string): Holder[] {
    return this.#live(key).map((lease) => this.#holder(lease));
  }

  keys(): string[] {
    return [...this.#leases.keys()].filter((key) => this.#live(key).length > 0);
  }

  /** How many leases are live, of all keys. */
  get size(): number {
    return this.keys().reduce((sum, key) => sum + this.#live(key).length, 0);
  }

  /** Somebody else takes the key, for `ttlMs`. Returns how they let go. */
  occupy(key: string, ttlMs = 3_600_000, owner = `other-${this.#token}`, mode: "exclusive" | "shared" = "exclusive"): () => void {
    const result = this.acquire({ key, owner, ttlMs, mode });
    if (!result.acquired) throw new Error(`${key} is not free`);
    return () => this.release({ key, owner, token: result.token });
  }

  /** An operator deletes the records of a key (or a server loses them). */
  drop(key: string): void {
    this.#leases.delete(key);
  }

  /** Forgets keys nobody holds, so that a test can weigh what others keep. */
  forget(): void {
    for (const key of [...this.#leases.keys()]) if (this.#live(key).length === 0) this.#leases.delete(key);
  }

  sweep(): number {
    let ended = 0;
    for (const [key, leases] of this.#leases) {
      const before = leases.length;
      const live = this.#live(key);
      ended += before - live.length;
      if (live.length === 0) this.#leases.delete(key);
    }
    return ended;
  }

  watch(key: string, wake: () => void): () => void {
    const watches = this.#watches.get(key) ?? new Set();
    this.#watches.set(key, watches);
    watches.add(wake);
    return () => {
      watches.delete(wake);
      if (watches.size === 0 && this.#watches.get(key) === watches) this.#watches.delete(key);
    };
  }

  notify(key: string): void {
    for (const wake of [...(this.#watches.get(key) ?? [])]) wake();
  }

  get watched(): number {
    return this.#watches.size;
  }

  #live(key: string): LeaseRecord[] {
    const now = this.#clock.now();
    const live = (this.#leases.get(key) ?? []).filter((lease) => lease.endsAt > now);
    this.#leases.set(key, live);
    return live;
  }

  #holder({ owner, token, mode, endsAt, grantedAt, metadata }: LeaseRecord): Holder {
    const now = this.#clock.now();
    return { owner, token, mode, remainingMs: endsAt - now, heldMs: now - grantedAt, ...(metadata === undefined ? {} : { metadata }) };
  }
}
