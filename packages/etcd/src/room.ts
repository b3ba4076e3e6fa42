/** Whether what was read of a key leaves room for a claim. The server decides; this says what to ask it next. */
import { type AcquireClaim, type DriverError, driverError } from "@dlock/core";
import { decode, foreign, modeOf, notOurs, type Records } from "./records.js";
import type { KeyValue } from "./wire.js";

export interface Room {
  /** Records of the other strategy are there. */
  readonly wrong?: DriverError;
  /** The owner's own record, in the mode asked for. */
  readonly own?: KeyValue;
  /** One of the records in the way. */
  readonly holder?: KeyValue;
  /** There is room, for a shared claim in this slot. */
  readonly slot?: number;
}

/** @param kvs the records of the key, places apart; the first of them is enough for an exclusive claim. */
export function judge(records: Records, { key, owner, mode, limit }: AcquireClaim, kvs: readonly KeyValue[]): Room {
  const slots = new Set<string>();
  for (const kv of kvs) {
    const kind = records.parse(kv.key)?.kind;
    if (kind === undefined) return { wrong: notOurs() };
    const other = foreign(kind, records.strategy);
    if (other !== undefined) return { wrong: strategyError(key, other, records.strategy) };
    if (modeOf(kind) === mode && decode(kv.value).owner === owner) return { own: kv };
    if (mode === "exclusive" || modeOf(kind) === "exclusive") return { holder: kv };
    slots.add(kv.key.toString("latin1"));
  }
  if (limit !== undefined && slots.size >= limit) return { holder: kvs[0] as KeyValue };
  // The lowest: names are used again, and there are never more than were ever held at once.
  let slot = 0;
  while (slots.has(records.slot(key, slot).toString("latin1"))) slot += 1;
  return { slot };
}

function strategyError(key: string, other: string, ours: string): DriverError {
  return driverError(
    `the lock ${JSON.stringify(key)} is held or waited for with strategy "${other}", this driver uses "${ours}"; ` +
      "use one strategy, or another prefix, for all processes that share a lock",
    { applied: "no", retryable: false },
  );
}
