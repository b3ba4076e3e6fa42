/** The tools to break a driver with: each wraps the honest memory driver and changes one answer. */
import { createMemoryStore, memoryDriver } from "../../../memory/src/index.ts";
import type { Rule } from "../../src/conformance/index.ts";
import type { AcquireClaim, AcquireResult, Clock, ExtendClaim, Holder, LockDriver, Outcome, ReleaseClaim } from "../../src/index.ts";
import { virtualClock } from "./virtual-clock.ts";

/** What all clients of one run share. */
export interface World {
  readonly clock: Clock;
  readonly store: ReturnType<typeof createMemoryStore>;
  /** What a fault remembers, by name. */
  recall<T>(name: string, start: () => T): T;
  /** Records that a fault keeps beside those of the store. */
  extraRecords: number;
}

export interface Broken {
  /** Completes "a driver that …". */
  readonly name: string;
  /** The rule whose cases must catch it. */
  readonly rule: Rule;
  /** Called once for each client. */
  breaks(honest: LockDriver, world: World): LockDriver;
}

/** Thrown by faults that answer with a throw. */
export class Fault extends Error {}

export const call = { timeoutMs: 5_000 };

export function createWorld(): World {
  const clock = virtualClock();
  const memories = new Map<string, unknown>();
  return {
    clock,
    store: createMemoryStore({ clock }),
    recall<T>(name: string, start: () => T): T {
      if (!memories.has(name)) memories.set(name, start());
      return memories.get(name) as T;
    },
    extraRecords: 0,
  };
}

export const honestDriver = (world: World): LockDriver => memoryDriver({ store: world.store });

// One honest claim at a time.

export const ask = async (driver: LockDriver, claim: AcquireClaim) => (await driver.acquire([claim], call))[0] as AcquireResult;
export const prolong = async (driver: LockDriver, claim: ExtendClaim) => (await driver.extend([claim], call))[0] as boolean;
export const free = async (driver: LockDriver, claim: ReleaseClaim) => (await driver.release([claim], call))[0] as boolean;
export const holders = (driver: LockDriver, key: string) => driver.inspect(key, call);
export const holderBy = async (driver: LockDriver, { key, owner }: { key: string; owner: string }): Promise<Holder | undefined> =>
  (await holders(driver, key)).find((holder) => holder.owner === owner);

/** Grants a claim by ending whatever is in its way. */
export async function force(driver: LockDriver, claim: AcquireClaim): Promise<AcquireResult> {
  const result = await ask(driver, claim);
  if (result.acquired) return result;
  for (const { owner } of await holders(driver, claim.key)) await free(driver, { key: claim.key, owner });
  return ask(driver, claim);
}

// Each makes a fault out of what becomes of one claim.

type Breaks = Broken["breaks"];
type Fate<C, R> = (claim: C, honest: LockDriver, world: World) => Promise<Outcome<R>> | Outcome<R>;

export const acquiring =
  (fate: Fate<AcquireClaim, AcquireResult>): Breaks =>
  (honest, world) => ({ ...honest, acquire: (claims) => inTurn(claims, (claim) => fate(claim, honest, world)) });

export const extending =
  (fate: Fate<ExtendClaim, boolean>): Breaks =>
  (honest, world) => ({ ...honest, extend: (claims) => inTurn(claims, (claim) => fate(claim, honest, world)) });

export const releasing =
  (fate: Fate<ReleaseClaim, boolean>): Breaks =>
  (honest, world) => ({ ...honest, release: (claims) => inTurn(claims, (claim) => fate(claim, honest, world)) });

async function inTurn<C, R>(claims: readonly C[], fate: (claim: C) => R | Promise<R>): Promise<R[]> {
  const outcomes: R[] = [];
  for (const claim of claims) outcomes.push(await fate(claim));
  return outcomes;
}

/** Faults one after the other, the last one nearest to the caller. */
export const both =
  (...faults: readonly Breaks[]): Breaks =>
  (honest, world) =>
    faults.reduce((driver, breaks) => breaks(driver, world), honest);

/** Mistakes every key for `name(key)`. */
export const naming =
  (name: (key: string) => string): Breaks =>
  (honest) => {
    const renamed = <C extends { key: string }>(claims: readonly C[]) => claims.map((claim) => ({ ...claim, key: name(claim.key) }));
    return {
      ...honest,
      acquire: (claims) => honest.acquire(renamed(claims), call),
      extend: (claims) => honest.extend(renamed(claims), call),
      release: (claims) => honest.release(renamed(claims), call),
      inspect: (key) => honest.inspect(name(key), call),
    };
  };

/** Shows other holders than there are. */
export const showing =
  (
    show: (shown: readonly Holder[], key: string, honest: LockDriver, world: World) => readonly Holder[] | Promise<readonly Holder[]>,
  ): Breaks =>
  (honest, world) => ({ ...honest, inspect: async (key) => show(await honest.inspect(key, call), key, honest, world) });

/** Gives tokens of its own: `mint` is asked at each new grant, with the store's token. */
export const minting =
  (
    mint: (
      grant: { key: string; token: bigint; others: readonly Holder[]; index: number },
      world: World,
      mine: { count: bigint },
    ) => bigint,
  ): Breaks =>
  (honest, world) => {
    /** From a key and the store's token to ours; one book for all clients. */
    const book = world.recall("tokens", () => new Map<string, bigint>());
    const mine = { count: 0n };
    const ours = (key: string, token: bigint) => book.get(`${key} ${token}`) ?? token;
    const theirs = async <C extends { key: string; owner: string; token?: bigint }>(claim: C): Promise<C> => {
      const held = await holderBy(honest, claim);
      if (claim.token === undefined) return claim;
      return { ...claim, token: held !== undefined && ours(claim.key, held.token) === claim.token ? held.token : -1n };
    };
    return {
      ...honest,
      acquire: async (claims) => {
        const results: AcquireResult[] = [];
        for (const [index, claim] of claims.entries()) {
          const { key } = claim;
          const others = await honest.inspect(key, call);
          const result = await ask(honest, claim);
          if (result.acquired && !book.has(`${key} ${result.token}`)) {
            book.set(`${key} ${result.token}`, mint({ key, token: result.token, others, index }, world, mine));
          }
          results.push(result.acquired ? { ...result, token: ours(key, result.token) } : { acquired: false });
        }
        return results;
      },
      extend: async (claims) => honest.extend(await Promise.all(claims.map(theirs)), call),
      release: async (claims) => honest.release(await Promise.all(claims.map(theirs)), call),
      inspect: async (key) => (await honest.inspect(key, call)).map((holder) => ({ ...holder, token: ours(key, holder.token) })),
    };
  };
