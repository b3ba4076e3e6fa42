/**
 * Strategy `mutex`: first come, first served across processes (R13). A refused claim that wants it leaves a place: a record of its own, whose
 * create revision is its rank. The token is the revision of the transaction that turns the place into a lease, not that of the place.
 */
import type { AcquireClaim, AcquireResult } from "@dlock/core";
import { type Desk, grantAgain, granted, putNew, refuse } from "./claims.js";
import { decide, decideWith, type Program } from "./program.js";
import { decode, encode } from "./records.js";
import { judge } from "./room.js";
import { absent, allOf, createdAt, firstOf, noneAfter, noneBefore, put, read, remove } from "./wire.js";

export function* acquireInOrder(desk: Desk, claim: AcquireClaim): Program<AcquireResult> {
  const { records, places, clock } = desk;
  const { key, owner, mode, ttlMs } = claim;
  const queue = records.queue(key);
  const holders = records.holders(key);
  const conflicts = absent(records.conflicts(key, mode));
  // At first no shared lease is known, so none may be there.
  let [slot, countedAt] = [0, "0"];
  for (;;) {
    const known = places.get(claim);
    const place = known?.name ?? places.name(claim, clock.now());
    const name = mode === "exclusive" ? records.exclusive(key) : records.slot(key, slot);
    const turn = known === undefined ? [absent(queue)] : [createdAt(place, known.created), noneBefore(queue, known.created)];
    const reply = yield* decideWith(ttlMs, (lease) => ({
      compare: mode === "exclusive" ? [...turn, conflicts] : [...turn, conflicts, noneAfter(records.shared(key), countedAt)],
      success: [putNew(desk, claim, name, lease), remove({ key: place })],
      failure: [
        read(mode === "exclusive" ? { ...holders, limit: 1 } : holders),
        // Takes the place, or renews it, and only then looks at the queue.
        ...(claim.queue === true ? [put(place, encode({ owner, ttl: lease.ttlMs, age: 0, held: 0 }), lease.id)] : []),
        read({ key: place }),
        read({ ...queue, limit: 1, sort_target: "Create", sort_order: "Ascend" }),
      ],
    }));
    if (reply.succeeded) {
      places.delete(claim);
      return granted(desk, claim, name, reply);
    }

    const { responses, lease } = reply;
    const [found, head] = [firstOf(responses, responses.length - 2), firstOf(responses, responses.length - 1)];
    const standing = found !== undefined && decode(found.value).owner === owner ? found : undefined;
    if (standing === undefined) places.delete(claim);
    else places.set(claim, { name: place, created: standing.create_revision, endsAt: lease.endsAt }, clock.now());
    const room = judge(records, claim, allOf(responses, 0));
    if (room.wrong !== undefined || room.own !== undefined) {
      // It has no use for a place.
      places.delete(claim);
      if (standing !== undefined) yield* decide({ compare: [], success: [remove({ key: place })] });
    }
    if (room.wrong !== undefined) throw room.wrong;
    if (room.own !== undefined) {
      const again = yield* grantAgain(desk, claim, room.own);
      if (again !== undefined) return again;
      continue;
    }
    const ahead = head !== undefined && !head.key.equals(place);
    if (ahead || room.slot === undefined) return yield* refuse(desk, room.holder);
    // Nothing was in the way when this was read: it is this claim's turn unless somebody comes first.
    [slot, countedAt] = [room.slot, reply.revision];
  }
}
