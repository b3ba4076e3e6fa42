/**
 * The register of a key is written under the lock and fenced by its token. Every accepted operation bears a token, so there is only one order
 * in which they can have happened: by token, and within a holder by time. The register is linearizable exactly if in that order each read
 * sees the last write before it, and no operation that ended before another began comes after it.
 */
import type { Event } from "../history.js";

interface Operation {
  readonly process: string;
  readonly kind: "read" | "write";
  readonly token: bigint;
  readonly invokedAt: number;
  /** Infinity for one of which nobody knows whether it was done. */
  readonly endedAt: number;
  readonly value: string | undefined;
}

export interface RegisterVerdict {
  readonly faults: readonly string[];
  readonly accepted: number;
  /** Operations that came from a past holder, and were refused for it. */
  readonly refused: number;
}

/** @param events of that key, in the order of time. */
export function checkRegister(key: string, events: readonly Event[]): RegisterVerdict {
  const { done, refused } = operationsOf(events);
  done.sort((a, b) => (a.token < b.token ? -1 : a.token > b.token ? 1 : a.invokedAt - b.invokedAt));
  return {
    faults: [...outOfTime(key, done), ...wrongReads(key, done)],
    accepted: done.filter(({ endedAt }) => endedAt < Number.POSITIVE_INFINITY).length,
    refused,
  };
}

function operationsOf(events: readonly Event[]): { done: Operation[]; refused: number } {
  const invoked = new Map<string, Event>();
  const done: Operation[] = [];
  let refused = 0;
  for (const event of events) {
    if (event.op !== "read" && event.op !== "write") continue;
    const id = `${event.process} ${event.id}`;
    if (event.type === "invoke") {
      invoked.set(id, event);
      continue;
    }
    const start = invoked.get(id);
    if (start === undefined) continue;
    if (event.type === "fail") refused++;
    if (event.type === "ok") done.push(operation(start, event.at, event.op === "write" ? start.value : event.value));
    if (event.type === "ok" || event.type === "fail") invoked.delete(id);
  }
  // A write that nobody knows of may have been done; a read has left nothing behind.
  for (const start of invoked.values()) if (start.op === "write") done.push(operation(start, Number.POSITIVE_INFINITY, start.value));
  return { done, refused };
}

function operation({ process, op, token = "0", at }: Event, endedAt: number, value: string | undefined): Operation {
  return { process, kind: op as "read" | "write", token: BigInt(token), invokedAt: at, endedAt, value };
}

/** @param done in the order of tokens. An operation out of order ended before one that comes earlier had begun. */
function outOfTime(key: string, done: readonly Operation[]): string[] {
  const faults: string[] = [];
  let firstEnd = Number.POSITIVE_INFINITY;
  for (const later of done.toReversed()) {
    if (later.invokedAt > firstEnd)
      faults.push(`a ${later.kind} of ${key} with token ${later.token} by ${later.process} was accepted after a newer token was`);
    firstEnd = Math.min(firstEnd, later.endedAt);
  }
  return faults;
}

function wrongReads(key: string, done: readonly Operation[]): string[] {
  const faults: string[] = [];
  /** What the next read may see: the last write that was done, or one since of which nobody knows. */
  let possible: (string | undefined)[] = [undefined];
  for (const { kind, endedAt, value, token, process } of done) {
    if (kind === "write") possible = endedAt < Number.POSITIVE_INFINITY ? [value] : [...possible, value];
    else if (possible.includes(value)) possible = [value];
    else faults.push(`${process} read ${value} from ${key} with token ${token}, and ${possible.join(" or ")} was there`);
  }
  return faults;
}
