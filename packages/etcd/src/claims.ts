/** The programs that both strategies share: putting a record, renewing, refusing, extending, releasing. */
import {
  type AcquireClaim,
  type AcquireResult,
  type Claim,
  type Clock,
  driverError,
  type ExtendClaim,
  type ReleaseClaim,
} from "@dlock/core";
import { type Lease, roundUp } from "./leases.js";
import type { HeldRecord, Ledger, PlaceRecord } from "./ledger.js";
import { ageOf, decide, decideWith, type Program } from "./program.js";
import { decode, encode, foreign, heldMs, holderOf, type Parsed, promised, type Records } from "./records.js";
import type { Reply } from "./transactions.js";
import { createdAt, deletedOf, firstOf, type KeyValue, modifiedAt, put, type RequestOp, read, remove } from "./wire.js";

/** What a program works with. */
export interface Desk {
  readonly records: Records;
  readonly held: Ledger<HeldRecord>;
  readonly places: Ledger<PlaceRecord>;
  readonly clock: Clock;
}

/** Tolerance for whole seconds where a promise is compared with `longestMs`. */
const slackMs = 1_000;

/** Puts the record of a new grant. */
export function putNew({ records, clock }: Desk, claim: AcquireClaim, lease: Lease): RequestOp {
  const value = { ttl: lease.ttlMs, age: clock.now() - lease.grantedAt, held: 0 };
  const bytes = encode(claim.metadata === undefined ? value : { ...value, meta: claim.metadata });
  return put(records.of(claim, claim.mode), bytes, lease.id);
}

/** The token is the revision of the transaction that decided, which is the create revision of the record. */
export function granted({ held, clock }: Desk, claim: AcquireClaim, { revision, lease }: Reply & { lease: Lease }): AcquireResult {
  const now = clock.now();
  const { mode, metadata: meta } = claim;
  const { endsAt, ttlMs } = lease;
  held.set(claim, { mode, created: revision, modified: revision, endsAt, promisedUntil: now + ttlMs, grantedAt: now, meta }, now);
  return { acquired: true, token: BigInt(revision), ttlMs };
}

/** R4: the owner's own record is there. Undefined when it is gone by the time it should be renewed. */
export function* grantAgain(desk: Desk, claim: AcquireClaim, kv: KeyValue): Program<AcquireResult | undefined> {
  const known = yield* learn(desk, claim.mode, kv);
  const renewed = yield* renew(desk, claim, claim.ttlMs, known);
  if (renewed === undefined) return undefined;
  return { acquired: true, token: BigInt(kv.create_revision), ttlMs: renewed };
}

/** @param kv a record in the way, if one is known. */
export function* refuse({ records }: Desk, kv: KeyValue | undefined): Program<AcquireResult> {
  const parsed = kv && records.parse(kv.key);
  if (kv === undefined || parsed === undefined) return { acquired: false };
  const age = yield* ageOf(kv.lease, true);
  if (age === undefined) return { acquired: false };
  const holder = holderOf(kv, parsed, age);
  // Behind shared leases, which of them must end depends on all of them.
  if (holder.mode === "shared") return { acquired: false, holder };
  return { acquired: false, retryAfterMs: Math.max(0, Math.ceil(age.leftMs)), holder };
}

/** The error for a key that holds a record of the other strategy; undefined when it is one of ours. */
export function strategyError({ records }: Desk, { key, kind }: Parsed): Error | undefined {
  const other = foreign(kind, records.strategy);
  if (other === undefined) return undefined;
  return driverError(
    `the lock ${JSON.stringify(key)} is held or waited for with strategy "${other}", this driver uses "${records.strategy}"; ` +
      "use one strategy, or another prefix, for all processes that share a lock",
    { applied: "no", retryable: false },
  );
}

export function* extend(desk: Desk, claim: ExtendClaim): Program<boolean> {
  const token = claim.token.toString();
  let known = desk.held.get(claim);
  if (known?.created !== token) {
    const { records } = desk;
    const [exclusive, shared] = [records.of(claim, "exclusive"), records.of(claim, "shared")];
    const { responses } = yield* decide({ compare: [], success: [read({ key: exclusive }), read({ key: shared })] });
    const [one, other] = [firstOf(responses, 0), firstOf(responses, 1)];
    if (one?.create_revision === token) known = yield* learn(desk, "exclusive", one);
    else if (other?.create_revision === token) known = yield* learn(desk, "shared", other);
    else return false;
  }
  return (yield* renew(desk, claim, claim.ttlMs, known, claim.longestMs)) !== undefined;
}

export function* release({ records, held, places }: Desk, claim: ReleaseClaim): Program<boolean> {
  const known = held.get(claim);
  held.delete(claim);
  const token = claim.token?.toString();
  const ending = (key: Buffer, created: string, failure: RequestOp[]) => ({
    compare: [createdAt(key, created)],
    success: [remove({ key })],
    failure,
  });
  if (token !== undefined && known?.created === token) return (yield* decide(ending(records.of(claim, known.mode), token, []))).succeeded;

  const [exclusive, shared] = [records.of(claim, "exclusive"), records.of(claim, "shared")];
  if (token === undefined) {
    places.delete(claim);
    const queued = records.strategy === "mutex" ? [remove({ key: records.place(claim) })] : [];
    const { responses } = yield* decide({ compare: [], success: [remove({ key: exclusive }), remove({ key: shared }), ...queued] });
    return deletedOf(responses.slice(0, 2)) > 0;
  }
  const { succeeded, responses } = yield* decide(ending(exclusive, token, [{ request_txn: ending(shared, token, []) }]));
  return succeeded || responses[0]?.response_txn?.succeeded === true;
}

/**
 * Sees to it that a record lives `ttlMs` from now, and never less long than before (except as `longestMs` says). A record is put onto a newer
 * lease only if nobody has put it since: an old message that arrives late must not move it back to a lease that ends sooner.
 *
 * @returns the TTL promised; undefined when the record is gone.
 */
function* renew(
  desk: Desk,
  claim: Claim,
  ttlMs: number,
  first: HeldRecord,
  longestMs = Number.POSITIVE_INFINITY,
): Program<number | undefined> {
  const { records, held, clock } = desk;
  const key = records.of(claim, first.mode);
  for (let known = first; ; ) {
    const now = clock.now();
    if (known.endsAt - now >= roundUp(ttlMs) && known.promisedUntil - now <= longestMs + slackMs) {
      const { succeeded } = yield* decide({ compare: [createdAt(key, known.created)], success: [] });
      if (succeeded) return roundUp(ttlMs);
      held.delete(claim);
      return undefined;
    }
    const { grantedAt, meta } = known;
    const reply = yield* decideWith(ttlMs, (lease) => {
      const sentAt = clock.now();
      const value = { ttl: lease.ttlMs, age: sentAt - lease.grantedAt, held: sentAt - grantedAt };
      return {
        compare: [modifiedAt(key, known.modified)],
        success: [put(key, encode(meta === undefined ? value : { ...value, meta }), lease.id)],
        failure: [read({ key })],
      };
    });
    if (reply.succeeded) {
      const { endsAt, ttlMs: given } = reply.lease;
      const renewedAt = clock.now();
      held.set(claim, { ...known, modified: reply.revision, endsAt, promisedUntil: renewedAt + given }, renewedAt);
      return given;
    }
    const kv = firstOf(reply.responses, 0);
    if (kv === undefined || kv.create_revision !== known.created) {
      held.delete(claim);
      return undefined;
    }
    // Somebody else renewed it, or an earlier try of ours did.
    known = yield* learn(desk, known.mode, kv);
  }
}

/** What `Held` would know of a record that was put elsewhere. */
function* learn({ clock }: Desk, mode: HeldRecord["mode"], kv: KeyValue): Program<HeldRecord> {
  const askedAt = clock.now();
  const age = yield* ageOf(kv.lease, false);
  const value = decode(kv.value);
  return {
    mode,
    created: kv.create_revision,
    modified: kv.mod_revision,
    endsAt: askedAt + (age?.leftAtLeastMs ?? 0),
    promisedUntil: askedAt + (age === undefined ? 0 : promised(value, age)),
    grantedAt: askedAt - (age === undefined ? 0 : heldMs(value, age)),
    meta: value.meta,
  };
}
