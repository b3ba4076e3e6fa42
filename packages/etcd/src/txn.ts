/** Strategy `txn`: whoever asks first after the key is free gets it. A grant costs one message; one beside others under a limit, two. */
import type { AcquireClaim, AcquireResult } from "@dlock/core";
import { type Desk, grantAgain, granted, putNew, refuse, strategyError } from "./claims.js";
import { decideWith, type Program } from "./program.js";
import { kinds } from "./records.js";
import { absent, count, countOf, firstOf, noneAfter, read } from "./wire.js";

export function* acquireAtOnce(desk: Desk, claim: AcquireClaim): Program<AcquireResult> {
  const { records } = desk;
  const { key, mode, limit } = claim;
  const mine = records.of(claim, mode);
  const all = { ...records.all(key), limit: 1 };
  const shared = records.shared(key);
  // An exclusive claim needs the key empty, and the one record that may be its own is the only one there.
  const free = mode === "exclusive" ? [absent(records.all(key))] : [absent(records.conflicts(key, mode)), absent({ key: mine })];
  const look = mode === "exclusive" ? [read(all)] : [read(all), read({ key: mine }), count(shared)];
  // At first no shared lease is known, so none may be there for a claim with a limit.
  for (let countedAt = "0"; ; ) {
    const slots = limit === undefined ? [] : [noneAfter(shared, countedAt)];
    const reply = yield* decideWith(claim.ttlMs, (lease) => ({
      compare: [...free, ...slots],
      success: [putNew(desk, claim, lease)],
      failure: look,
    }));
    if (reply.succeeded) return granted(desk, claim, reply);

    // The first by name: another strategy's, or the exclusive one, or a shared one.
    const first = firstOf(reply.responses, 0);
    const own = first?.key.equals(mine) ? first : firstOf(reply.responses, 1);
    if (own !== undefined) {
      const again = yield* grantAgain(desk, claim, own);
      if (again !== undefined) return again;
      continue;
    }
    const found = first && records.parse(first.key);
    const wrong = found && strategyError(desk, found);
    if (wrong !== undefined) throw wrong;
    const readable = found === undefined || found.kind === kinds.txn.shared;
    const room = mode === "shared" && readable && countOf(reply.responses, 2) < (limit ?? Number.POSITIVE_INFINITY);
    if (!room) return yield* refuse(desk, first);
    // The count holds as long as nobody comes; who leaves does not matter.
    countedAt = reply.revision;
  }
}
