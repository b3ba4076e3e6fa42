/** The verdict on a history, from the history alone. */
import type { Event, FaultName } from "../history.js";
import { checkExclusion } from "./exclusion.js";
import { checkGhosts, type Outage } from "./ghosts.js";
import { holdsOf } from "./holds.js";
import { type Recovery, recoveriesOf } from "./recovery.js";
import { checkRegister } from "./register.js";
import { checkTokens } from "./tokens.js";

export interface Judgement {
  readonly acquisitions: number;
  readonly faults: number;
  /** Accepted operations on the register that no order explains. */
  readonly overlaps: readonly string[];
  readonly toldLate: readonly string[];
  /** Where the server's clock went forward while a lease lived: no fault of ours, and the fence must do. */
  readonly toldLateByClock: readonly string[];
  readonly tokens: readonly string[];
  readonly ghosts: readonly string[];
  /** Accepted operations on the registers, and those that the fence refused. */
  readonly accepted: number;
  readonly refused: number;
  /** For each kind of fault after which something had to be granted again. */
  readonly recovery: readonly Recovery[];
}

/** Faults that end with another event. */
const endOf: Partial<Record<FaultName, FaultName>> = {
  stop: "continue",
  "cut off": "heal",
  "server killed": "server back",
  "server stopped": "server back",
};

/** For a while after it the client reconnects, and undoes what was delivered late. */
const aftermathMs = 3_000;

/** @param ttlMs the usual TTL of the locks. */
export function judge(events: readonly Event[], ttlMs: number): Judgement {
  const held = holdsOf(events);
  const { holds, waits } = held;
  const all = [...holds.values()];
  // A long run has thousands of keys: each is looked at with what is its own.
  const eventsOf = byKey(events);
  const waitsOf = byKey(waits);
  const registers = [...eventsOf].map(([key, own]) => checkRegister(key, own));
  const forward = events.flatMap(({ fault, stepMs = 0, at }) => (fault === "server clock" && stepMs > 0 ? [at] : []));
  const late = all.map((each) => checkExclusion(each, forward));
  const outages = outagesOf(events);
  return {
    acquisitions: all.reduce((sum, { length }) => sum + length, 0),
    faults: events.filter(({ type, fault }) => type === "fault" && !["heal", "continue", "server back"].includes(fault ?? "")).length,
    overlaps: registers.flatMap(({ faults }) => faults),
    toldLate: late.flatMap(({ faults }) => faults),
    toldLateByClock: late.flatMap(({ byClock }) => byClock),
    tokens: all.flatMap((each) => checkTokens(each, forward)),
    ghosts: [...waitsOf].flatMap(([key, own]) => checkGhosts(holds.get(key) ?? [], own, outages)),
    accepted: registers.reduce((sum, { accepted }) => sum + accepted, 0),
    refused: registers.reduce((sum, { refused }) => sum + refused, 0),
    recovery: recoveriesOf(events, held, ttlMs),
  };
}

/** In the same order. */
function byKey<T extends { readonly key?: string }>(all: readonly T[]): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const each of all) {
    if (each.key === undefined) continue;
    const group = groups.get(each.key);
    if (group === undefined) groups.set(each.key, [each]);
    else group.push(each);
  }
  return groups;
}

function outagesOf(events: readonly Event[]): Outage[] {
  const faults = events.filter(({ type }) => type === "fault");
  return faults.flatMap(({ fault, target, at }, index) => {
    // A process or its connection; without a target the server of all.
    if (fault === "kill" || fault === "cut") return [{ process: target, from: at, until: at + aftermathMs, dead: fault === "kill" }];
    const end = fault === undefined ? undefined : endOf[fault];
    if (end === undefined) return [];
    const over = faults.slice(index + 1).find((later) => later.target === target && (later.fault === end || later.fault === "kill"));
    return [{ process: target, from: at, until: (over?.at ?? Number.POSITIVE_INFINITY) + aftermathMs, dead: over?.fault === "kill" }];
  });
}

export function passes({ overlaps, toldLate, tokens, ghosts, acquisitions }: Judgement): boolean {
  return acquisitions > 0 && [overlaps, toldLate, tokens, ghosts].every(({ length }) => length === 0);
}
