/** Strategy `txn`: whoever asks first after the key is free gets it. A grant costs one message; a shared one beside others, two. */
import type { AcquireClaim, AcquireResult } from "@dlock/core";
import { type Desk, grantAgain, granted, putNew, refuse } from "./claims.js";
import { decideWith, type Program } from "./program.js";
import { judge } from "./room.js";
import { absent, allOf, noneAfter, read } from "./wire.js";

export function* acquireAtOnce(desk: Desk, claim: AcquireClaim): Program<AcquireResult> {
  const { records } = desk;
  const { key, mode } = claim;
  const all = records.all(key);
  const first = { key: all.key, range_end: all.range_end, limit: 1 };
  const conflicts = absent(records.conflicts(key, mode));
  // At first no shared lease is known, so none may be there.
  let [slot, countedAt] = [0, "0"];
  for (;;) {
    const name = mode === "exclusive" ? records.exclusive(key) : records.slot(key, slot);
    const reply = yield* decideWith(claim.ttlMs, (lease) => ({
      compare: mode === "exclusive" ? [conflicts] : [conflicts, noneAfter(records.shared(key), countedAt)],
      success: [putNew(desk, claim, name, lease)],
      failure: [read(mode === "exclusive" ? first : all)],
    }));
    if (reply.succeeded) return granted(desk, claim, name, reply);

    const room = judge(records, claim, allOf(reply.responses, 0));
    if (room.wrong !== undefined) throw room.wrong;
    if (room.own !== undefined) {
      const again = yield* grantAgain(desk, claim, room.own);
      if (again !== undefined) return again;
    } else if (room.slot === undefined) return yield* refuse(desk, room.holder);
    else [slot, countedAt] = [room.slot, reply.revision];
  }
}
