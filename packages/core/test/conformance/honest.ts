/** Honest drivers that are not like the memory driver: what they may do, the suite must allow. */
import type { Holder, LockDriver } from "../../src/index.ts";
import { isDriverError } from "../../src/index.ts";
import { honestDriver, type World } from "./faults.ts";

/** As a server that keeps whole seconds, two at least, and counts what remains and what has passed in whole seconds. */
export function coarse(world: World): LockDriver {
  const honest = honestDriver(world);
  const given = (ttlMs: number) => Math.max(2, Math.ceil(ttlMs / 1_000)) * 1_000;
  const rounded = <C extends { ttlMs: number }>(claims: readonly C[]) => claims.map((claim) => ({ ...claim, ttlMs: given(claim.ttlMs) }));
  const shown = <H extends Holder>(holder: H): H => ({
    ...holder,
    remainingMs: Math.ceil(holder.remainingMs / 1_000) * 1_000,
    heldMs: Math.floor(holder.heldMs / 1_000) * 1_000,
  });
  return {
    ...honest,
    capabilities: { ...honest.capabilities, minTtlMs: 2_000, ttlStepMs: 1_000, maxBatch: 64 },
    acquire: (claims, call) => honest.acquire(rounded(claims), call),
    extend: (claims, call) => honest.extend(rounded(claims), call),
    inspect: async (key, call) => (await honest.inspect(key, call)).map(shown),
    async *list(options) {
      for await (const record of honest.list(options)) yield shown(record);
    },
  };
}

/** No queue, no watch, lanes, one claim at a time, and not a word more than yes or no. */
export function plain(world: World): LockDriver {
  const { watch: _, ...honest } = honestDriver(world);
  return {
    ...honest,
    capabilities: { ...honest.capabilities, maxBatch: 1, watch: false, queue: false },
    laneOf: (key) => key.slice(-1),
    acquire: async (claims, call) => {
      const results = await honest.acquire(claims, call);
      return results.map((result) => (isDriverError(result) || result.acquired ? result : { acquired: false }));
    },
  };
}
