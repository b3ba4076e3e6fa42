/** The programs that both strategies share: putting a record, renewing, refusing, extending, releasing. */
import type { AcquireClaim, AcquireResult, Claim, Clock, ExtendClaim, ReleaseClaim } from "@dlock/core";
import { type Lease, roundUp } from "./leases.js";
import type { HeldRecord, Ledger } from "./ledger.js";
import type { Places } from "./places.js";
import { ageOf, decide, decideWith, type Program } from "./program.js";
import { decode, encode, heldMs, holderOf, kinds, ownOf, promised, type Records, tokenOf } from "./records.js";
import type { Reply } from "./transactions.js";
import { allOf, createdAt, firstOf, type KeyValue, modifiedAt, put, type RequestOp, read, remove } from "./wire.js";

/** What a program works with. */
export interface Desk {
  readonly records: Records;
  readonly held: Ledger<HeldRecord>;
  readonly places: Places;
  readonly clock: Clock;
}

/** Tolerance for whole seconds where a promise is compared with `longestMs`. */
const slackMs = 1_000;

/** Puts the record of a new grant. */
export function putNew({ clock }: Desk, claim: AcquireClaim, name: Buffer, lease: Lease): RequestOp {
  const value = { owner: claim.owner, ttl: lease.ttlMs, age: clock.now() - lease.grantedAt, held: 0 };
  return put(name, encode(claim.metadata === undefined ? value : { ...value, meta: claim.metadata }), lease.id);
}

/** The token is the revision of the transaction that decided, which is the create revision of the record. */
export function granted({ held, clock }: Desk, claim: AcquireClaim, name: Buffer, reply: Reply & { lease: Lease }): AcquireResult {
  const now = clock.now();
  const { revision } = reply;
  const token = tokenOf(revision);
  const { endsAt, ttlMs } = reply.lease;
  const meta = claim.metadata;
  held.set(claim, { name, created: revision, modified: revision, endsAt, promisedUntil: now + ttlMs, grantedAt: now, meta }, now);
  return { acquired: true, token, ttlMs };
}

/** R4: the owner's own record is there. Undefined when it is gone by the time it should be renewed. */
export function* grantAgain(desk: Desk, claim: AcquireClaim, kv: KeyValue): Program<AcquireResult | undefined> {
  const renewed = yield* renew(desk, claim, claim.ttlMs, yield* learn(desk, kv));
  return renewed === undefined ? undefined : { acquired: true, token: tokenOf(kv.create_revision), ttlMs: renewed };
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

export function* extend(desk: Desk, claim: ExtendClaim): Program<boolean> {
  let known = desk.held.get(claim);
  if (known?.created !== claim.token.toString()) {
    const own = yield* find(desk, claim, claim.token);
    if (own === undefined) return false;
    known = yield* learn(desk, own);
  }
  return (yield* renew(desk, claim, claim.ttlMs, known, claim.longestMs)) !== undefined;
}

export function* release(desk: Desk, claim: ReleaseClaim): Program<boolean> {
  const { records, held, places } = desk;
  const known = held.get(claim);
  held.delete(claim);
  if (claim.token !== undefined) {
    if (known?.created === claim.token.toString()) return yield* end(known.name, known.created);
    const own = yield* find(desk, claim, claim.token);
    return own !== undefined && (yield* end(own.key, own.create_revision));
  }
  places.delete(claim);
  const { responses } = yield* decide({ compare: [], success: [read(records.all(claim.key))] });
  let ended = false;
  for (const { key, create_revision } of ownOf(allOf(responses, 0), claim.owner)) {
    const gone = yield* end(key, create_revision);
    if (records.parse(key)?.kind !== kinds.mutex.place) ended ||= gone;
  }
  return ended;
}

/** Deletes a record, unless its name belongs to a later one by now. */
function* end(name: Buffer, created: string): Program<boolean> {
  return (yield* decide({ compare: [createdAt(name, created)], success: [remove({ key: name })] })).succeeded;
}

/** The lease with that owner and token, when this driver did not grant it. */
function* find({ records }: Desk, { key, owner }: Claim, token: bigint): Program<KeyValue | undefined> {
  const { responses } = yield* decide({ compare: [], success: [read(records.holders(key))] });
  return ownOf(allOf(responses, 0), owner).find((kv) => kv.create_revision === token.toString());
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
  const { held, clock } = desk;
  const { owner } = claim;
  const key = first.name;
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
      const value = { owner, ttl: lease.ttlMs, age: sentAt - lease.grantedAt, held: sentAt - grantedAt };
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
    known = yield* learn(desk, kv);
  }
}

/** What `Held` would know of a record that was put elsewhere. */
function* learn({ clock }: Desk, kv: KeyValue): Program<HeldRecord> {
  const askedAt = clock.now();
  const age = yield* ageOf(kv.lease, false);
  const value = decode(kv.value);
  return {
    name: kv.key,
    created: kv.create_revision,
    modified: kv.mod_revision,
    endsAt: askedAt + (age?.leftAtLeastMs ?? 0),
    promisedUntil: askedAt + (age === undefined ? 0 : promised(value, age)),
    grantedAt: askedAt - (age === undefined ? 0 : heldMs(value, age)),
    meta: value.meta,
  };
}
