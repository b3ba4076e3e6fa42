/**
 * The driver contract: what a backend must answer, and nothing else. Types only; this file imports nothing.
 *
 * A driver makes single attempts. Waiting, retrying, renewing, giving up and counting are written once, in core. The rules R1–R13 below are
 * the whole of what core relies on; each has cases in `@dlock/core/conformance` and a deliberately broken driver that those cases catch.
 *
 * - **R1 attempt**: a call never waits for a *held* lock. Within `timeoutMs` it may repeat what the server certainly did not apply (busy
 *   file, deadlock victim, moved slot).
 * - **R2 three answers**: yes, no, unknown. Contention is a result, not an error. A {@link DriverError} says whether the claim was certainly
 *   not applied or whether that is unknown; a throw means unknown for every claim of the batch. A server's answer that cannot be read (of a
 *   wrong type or length, no number, out of range) is unknown for the claims it was for, and an error of `inspect`, `list` and `sweep`: never a
 *   guess, since a proxy may have given it, or a connection that is in the middle of something else.
 * - **R3 atomic**: one server-side atomic decision for each claim: exclusive iff there is no other live lease; shared iff there is no live
 *   exclusive lease and, with a limit, fewer than `limit` live shared ones.
 * - **R4 idempotent**: the owner of a live lease that asks again in the same mode is granted again: same token, TTL renewed (never
 *   shortened). In another mode it is refused.
 * - **R5 time**: a lease lives at least `ttlMs` from when the claim was sent; the result says the TTL really given, rounded up. No absolute
 *   time of a client ever crosses the wire (Gray and Cheriton, "Leases", 1989).
 * - **R6 token**: greater than every token granted before on that key, over release, expiry, takeover, sweep, client restart and, where the
 *   server keeps data, server restart. Extending and asking again keep it. It is minted at the decision, not before, and lies between 1 and
 *   2^53 − 1.
 * - **R7 bounded**: records are bounded by live leases (plus ended ones not yet swept), never by the number of keys ever used.
 * - **R8 extend**: true only while that owner's lease with that token is live. Never resurrects. Never shortens, except that a lease which
 *   outlasts `longestMs` (the server's clock stepped back) must be cut back to `ttlMs`.
 * - **R9 release**: true iff it ended that owner's live lease (with that token). A stale owner or token never frees another's lease.
 * - **R10 batch**: results in the order of the claims; one claim's contention, loss or error never changes another's verdict. Core puts a key
 *   at most once in an acquire batch, a (key, owner) pair once in the others, never more than `maxBatch` claims, and only keys of one lane.
 * - **R11 bytes**: keys that differ in a byte are different locks, and no key can name another lock's record: case, accents, trailing
 *   blanks, braces, quotes, wildcards, one key a prefix of another.
 * - **R12 read-only**: `inspect`, `list` and `ping` change nothing.
 * - **R13 queue**: only where `capabilities.queue` says so, and only for claims with `queue: true`: a refused claim keeps a place, first come
 *   first served across processes and modes, until it is released (which answers false) or its TTL ends; asking again renews the place and
 *   keeps its rank. A grant is never made to a claim whose owner did not ask again; a shared grant wakes the next in line.
 */
export interface LockDriver {
  /** Short name of the backend, such as `"redis"`; used in errors, logs and statistics. */
  readonly name: string;
  readonly capabilities: DriverCapabilities;
  /** Tries each claim once (R1–R6, R10). */
  acquire(claims: readonly AcquireClaim[], call: Call): Promise<readonly Outcome<AcquireResult>[]>;
  /** Renews leases that are still live (R8, R10). */
  extend(claims: readonly ExtendClaim[], call: Call): Promise<readonly Outcome<boolean>[]>;
  /** Ends leases, and gives up queue places (R9, R10, R13). */
  release(claims: readonly ReleaseClaim[], call: Call): Promise<readonly Outcome<boolean>[]>;
  /** The same decisions for one claim, without a promise: for drivers that need no I/O. Core then neither batches nor waits. */
  readonly immediate?: ImmediateDecisions;
  /** The live holders of a key, oldest grant first; empty when it is free (R12). */
  inspect(key: string, call: Call): Promise<readonly Holder[]>;
  /** Every live lease whose key starts with `prefix`, in no particular order (R12). */
  list(options: { prefix?: string }): AsyncIterable<LockRecord>;
  /** Claims of different lanes never share a batch, so that one frozen shard cannot delay the others. One lane when absent. */
  laneOf?(key: string): string;
  /**
   * Calls `wake` when `claim` may now succeed: a hint that may come early, twice or never. `claim.owner` is the owner that was refused. Core
   * tries again once the watch stands, so what happened before need not be told; nor need the end of a lease that has refused nobody since it
   * was granted: whoever waits was refused by the lease in the way, or asks again by the clock since his attempt failed.
   * Resolves, once the watch stands, to the function that ends it; that function never throws and may be called twice.
   */
  watch?(claim: Claim, wake: () => void): Promise<() => void>;
  /** Removes the records of ended leases; resolves to how many. */
  sweep(call: Call): Promise<number>;
  /** A cheap round trip that proves the server takes writes; rejects with a {@link DriverError} that says why it does not (R12). */
  ping(call: Call): Promise<void>;
  /** Closes only what the driver opened itself; never rejects because the server is away. */
  close(): Promise<void>;
}

/** See `LockDriver.immediate`; the same rules. */
export interface ImmediateDecisions {
  acquire(claim: AcquireClaim): Outcome<AcquireResult>;
  extend(claim: ExtendClaim): Outcome<boolean>;
  release(claim: ReleaseClaim): Outcome<boolean>;
}

export interface DriverCapabilities {
  /** Who can see a lease: this process, every process of this machine, or everyone who reaches the server. */
  readonly scope: "process" | "host" | "network";
  /** The shortest TTL the server can keep, in milliseconds; shorter ones are rounded up. */
  readonly minTtlMs: number;
  /** TTLs are rounded up to a multiple of this many milliseconds. */
  readonly ttlStepMs: number;
  /** The most claims one call may carry. */
  readonly maxBatch: number;
  /**
   * About how long a notification (or the look that stands for it) takes, in milliseconds, beyond a round trip: after its turn on a contended key,
   * a process leaves others so much time to come first. @default 0 with `watch`, else 20
   */
  readonly wakeMs?: number;
  /** Whether `watch` is there and wakes waiters of other processes. */
  readonly watch: boolean;
  /** Whether R13 is offered. */
  readonly queue: boolean;
}

export interface Call {
  /** Milliseconds after which the driver has stopped: the request cancelled, the connection given up if need be. */
  readonly timeoutMs: number;
}

export interface Claim {
  /** 1 to 255 bytes of UTF-8, compared byte for byte. */
  readonly key: string;
  /** 1 to 255 bytes of UTF-8. */
  readonly owner: string;
}

export interface AcquireClaim extends Claim {
  readonly ttlMs: number;
  readonly mode: "exclusive" | "shared";
  /** Only with `mode: "shared"`: the most live shared leases, this one counted. */
  readonly limit?: number;
  /** Keep a place if refused (R13). */
  readonly queue?: boolean;
  /** At most 1,024 bytes of UTF-8, shown by `inspect`; kept as first granted. */
  readonly metadata?: string;
}

export interface ExtendClaim extends Claim {
  readonly token: bigint;
  readonly ttlMs: number;
  /** The longest TTL this lease was ever given: one that outlasts it is cut back to `ttlMs` (R8). */
  readonly longestMs: number;
}

export interface ReleaseClaim extends Claim {
  /** Absent only when undoing an attempt whose outcome is unknown: then the owner alone decides. */
  readonly token?: bigint;
}

export type AcquireResult =
  /** `ttlMs` is the TTL really given: at least the one asked for. */
  | { readonly acquired: true; readonly token: bigint; readonly ttlMs: number }
  /** `retryAfterMs` says when an attempt may first succeed if nobody releases before; `holder` names one of the leases in the way. */
  | { readonly acquired: false; readonly retryAfterMs?: number; readonly holder?: Holder };

export interface Holder {
  readonly owner: string;
  readonly token: bigint;
  readonly mode: "exclusive" | "shared";
  /** Milliseconds until the lease ends unless it is renewed; as coarse as `ttlStepMs`, as is `heldMs`. */
  readonly remainingMs: number;
  /** Milliseconds since it was granted. */
  readonly heldMs: number;
  readonly metadata?: string;
}

export interface LockRecord extends Holder {
  readonly key: string;
}

/** What became of one claim. Tell the two apart with `isDriverError`. */
export type Outcome<T> = T | DriverError;

/** An answer that is neither yes nor no. Made with `driverError`. */
export interface DriverError extends Error {
  /** The brand; a plain property so that two copies of core in one process understand each other. */
  readonly dlockDriverError: true;
  /** `"no"`: the server certainly did not apply it. `"unknown"`: it may have, or may still. */
  readonly applied: "no" | "unknown";
  /** Whether the same attempt may succeed later without anyone mending a configuration. */
  readonly retryable: boolean;
  readonly cause?: unknown;
}
