/** The guard for data in etcd itself: a compare for the user's own transaction, true only while the lock is held with this token. */
import { fenceOf, type Lock } from "@dlock/core";
import { defaultPrefix, type EtcdDriverOptions, strategyOf } from "./options.js";
import { Records } from "./records.js";

/** A compare as the `if` and the `and` of etcd3's transactions take it, spread: `client.if(...compare)`. */
export type EtcdCompare = readonly [key: Buffer, column: "Create", comparator: "==", revision: string];

/**
 * Makes a guard for writes to the etcd that the locks are in. The guard gives a compare, which needs no message of its own; put it into the
 * transaction that writes, and the cluster judges both at once: no pause and no delay on the way can come between them. A transaction that
 * was overtaken answers `succeeded: false` and has written nothing.
 *
 * The record of a lock is created by the transaction that grants it, keeps its create revision over every renewal, and goes when the lock
 * ends. That revision is the lease's token, so the compare is true for this one grant and for no other, although the name is used again.
 *
 * @param options the `prefix` and the `strategy` of the driver; with others the compare is never true. A client of etcd3 that was made by
 * `namespace(name)` puts `name` before every key: leave that off the prefix, and use none where the two do not fit.
 * @returns what takes the handle of a lock and gives its compare. It throws TypeError for what is no lock and for a shared one, and
 * LockNotHeldError for one that is released or lost. Whoever unlocks while the transaction is on its way gives up its protection.
 * @throws RangeError for an unknown strategy.
 */
export function etcdGuard(options: Pick<EtcdDriverOptions, "prefix" | "strategy"> = {}): (lock: Lock) => EtcdCompare {
  const records = new Records(options.prefix ?? defaultPrefix, strategyOf(options.strategy));
  return (lock) => {
    const { key, serverToken } = fenceOf(lock);
    return [records.exclusive(key), "Create", "==", serverToken.toString()];
  };
}
