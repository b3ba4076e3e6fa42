/** Drivers that break R13: their queue is none, or not a fair one. */
import type { AcquireClaim } from "../../../src/index.ts";
import { acquiring, ask, type Broken, both, free, holderBy, holders, releasing } from "../faults.ts";

const rule = "R13";

export const queue: readonly Broken[] = [
  {
    name: "keeps no places",
    rule,
    breaks: acquiring(({ queue: _, ...claim }, honest) => ask(honest, claim)),
  },
  {
    name: "keeps a place for everyone who is refused",
    rule,
    breaks: acquiring((claim, honest) => ask(honest, { ...claim, queue: true })),
  },
  {
    name: "grants a freed key to the first in the queue at once",
    rule,
    breaks: both(
      acquiring(async (claim, honest, world) => {
        const result = await ask(honest, claim);
        if (!result.acquired && claim.queue) world.recall(`queue ${claim.key}`, () => [] as AcquireClaim[]).push(claim);
        return result;
      }),
      releasing(async (claim, honest, world) => {
        const released = await free(honest, claim);
        const next = world.recall(`queue ${claim.key}`, () => [] as AcquireClaim[]).shift();
        if (released && next !== undefined) await ask(honest, next);
        return released;
      }),
    ),
  },
  {
    name: "keeps a place that was given up",
    rule,
    breaks: releasing(async (claim, honest) => (await holderBy(honest, claim)) !== undefined && free(honest, claim)),
  },
  {
    name: "says that a place given up was a lease",
    rule,
    breaks: releasing(async (claim, honest) => (await free(honest, claim)) || claim.token === undefined),
  },
  {
    name: "keeps places for ever",
    rule,
    breaks: acquiring(async (claim, honest) => {
      const result = await ask(honest, claim);
      return result.acquired || !claim.queue ? result : ask(honest, { ...claim, ttlMs: 1_000 * claim.ttlMs });
    }),
  },
  {
    name: "sends who asks again to the end of the queue",
    rule,
    breaks: acquiring(async (claim, honest) => {
      if (claim.queue && (await holderBy(honest, claim)) === undefined) await free(honest, { key: claim.key, owner: claim.owner });
      return ask(honest, claim);
    }),
  },
  {
    name: "does not renew the place of who asks again",
    rule,
    breaks: acquiring(async (claim, honest, world) => {
      const asked = world.recall("asked", () => new Set<string>());
      const again = asked.has(claim.owner) && (await holders(honest, claim.key)).length > 0;
      asked.add(claim.owner);
      return ask(honest, again ? { ...claim, ttlMs: 1 } : claim);
    }),
  },
  {
    name: "lets shared claims leave the queue one at a time",
    rule,
    breaks: acquiring((claim, honest) => ask(honest, claim.queue && claim.limit === undefined ? { ...claim, mode: "exclusive" } : claim)),
  },
  {
    name: "makes a holder queue behind those who wait for it",
    rule,
    breaks: acquiring(async (claim, honest, world) => {
      const waiting = world.recall(`waiting ${claim.key}`, () => new Set<string>());
      if (waiting.size > 0 && (await holderBy(honest, claim)) !== undefined) return { acquired: false };
      const result = await ask(honest, claim);
      if (!result.acquired && claim.queue) waiting.add(claim.owner);
      return result;
    }),
  },
];
