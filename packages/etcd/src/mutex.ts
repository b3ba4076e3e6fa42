/**
 * Strategy `mutex`: first come, first served across processes (R13). A refused claim that wants it leaves a place: a record of its own, whose
 * create revision is its rank. The token is the revision of the transaction that turns the place into a lease, not that of the place.
 */
import type { AcquireClaim, AcquireResult } from "@dlock/core";
import { type Desk, grantAgain, granted, putNew, refuse, strategyError } from "./claims.js";
import type { Lease } from "./leases.js";
import { decideWith, type Program } from "./program.js";
import { encode, kinds } from "./records.js";
import { absent, count, countOf, createdAt, firstOf, noneAfter, noneBefore, put, type RequestOp, read, remove } from "./wire.js";

export function* acquireInOrder(desk: Desk, claim: AcquireClaim): Program<AcquireResult> {
  const { records, places, clock } = desk;
  const { key, mode, limit, ttlMs } = claim;
  const [mine, place] = [records.of(claim, mode), records.place(claim)];
  const [queue, shared] = [records.queue(key), records.shared(key)];
  const free = [absent(records.conflicts(key, mode)), absent({ key: mine })];
  const lookAtHolders = [read({ key: mine }), count(shared), read({ ...records.holders(key), limit: 1 })];
  const lookAtQueue = [read({ key: place }), read({ ...queue, limit: 1, sort_target: "Create", sort_order: "Ascend" })];
  /** Takes or renews the place, unless the claim turns out to be the holder's own. */
  const lineUp = (lease: Lease): RequestOp => ({
    request_txn: { compare: [absent({ key: mine })], success: [put(place, encode({ ttl: lease.ttlMs, age: 0, held: 0 }), lease.id)] },
  });

  // At first no shared lease is known, so none may be there for a claim with a limit.
  for (let countedAt = "0"; ; ) {
    const rank = places.get(claim)?.created;
    const turn = rank === undefined ? [absent(queue)] : [createdAt(place, rank), noneBefore(queue, rank)];
    const slots = limit === undefined ? [] : [noneAfter(shared, countedAt)];
    const reply = yield* decideWith(ttlMs, (lease) => ({
      compare: [...turn, ...free, ...slots],
      success: [putNew(desk, claim, lease), remove({ key: place })],
      failure: [...lookAtHolders, ...(claim.queue === true ? [lineUp(lease)] : []), ...lookAtQueue],
    }));
    if (reply.succeeded) {
      places.delete(claim);
      return granted(desk, claim, reply);
    }

    const { responses } = reply;
    const own = firstOf(responses, 0);
    if (own !== undefined) {
      const again = yield* grantAgain(desk, claim, own);
      if (again !== undefined) return again;
      continue;
    }
    const holder = firstOf(responses, 2);
    const found = holder && records.parse(holder.key);
    const wrong = found && strategyError(desk, found);
    if (wrong !== undefined) throw wrong;
    const [standing, head] = [firstOf(responses, responses.length - 2), firstOf(responses, responses.length - 1)];
    if (standing === undefined) places.delete(claim);
    else places.set(claim, { created: standing.create_revision, endsAt: reply.lease.endsAt }, clock.now());

    const ahead = head !== undefined && !head.key.equals(place);
    const readable = found === undefined || found.kind === kinds.mutex.shared;
    const room = holder === undefined || (mode === "shared" && readable && countOf(responses, 1) < (limit ?? Number.POSITIVE_INFINITY));
    if (ahead || !room) return yield* refuse(desk, holder);
    // Nothing was in the way when this was read: it is this claim's turn unless somebody comes first.
    countedAt = reply.revision;
  }
}
