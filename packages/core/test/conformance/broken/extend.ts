/** Drivers that break R8: they extend what they must not, or do not extend what they must. */
import { ask, type Broken, call, extending, holderBy, holders, prolong } from "../faults.ts";

const rule = "R8";

export const extend: readonly Broken[] = [
  {
    name: "says yes and extends nothing",
    rule,
    breaks: extending((claim, honest) => prolong(honest, { ...claim, ttlMs: 1 })),
  },
  {
    name: "extends only what the same client took",
    rule,
    breaks: (honest) => {
      const mine = new Set<bigint>();
      return {
        ...honest,
        async acquire(claims) {
          const results = await honest.acquire(claims, call);
          for (const result of results) if ("acquired" in result && result.acquired) mine.add(result.token);
          return results;
        },
        extend: (claims) => Promise.all(claims.map((claim) => mine.has(claim.token) && prolong(honest, claim))),
      };
    },
  },
  {
    name: "extends by the owner, whatever the token",
    rule,
    breaks: extending(async (claim, honest) => {
      const held = await holderBy(honest, claim);
      return held !== undefined && prolong(honest, { ...claim, token: held.token });
    }),
  },
  {
    name: "extends by the token, whatever the owner",
    rule,
    breaks: extending(async (claim, honest) => {
      const held = (await holders(honest, claim.key)).find(({ token }) => token === claim.token);
      return held !== undefined && prolong(honest, { ...claim, owner: held.owner });
    }),
  },
  {
    name: "extends whatever lease the key has",
    rule,
    breaks: extending(async (claim, honest) => {
      const [held] = await holders(honest, claim.key);
      return held !== undefined && prolong(honest, { ...claim, owner: held.owner, token: held.token });
    }),
  },
  {
    name: "brings ended leases back",
    rule,
    breaks: extending(async (claim, honest) => {
      if (await prolong(honest, claim)) return true;
      if ((await holders(honest, claim.key)).length > 0) return false;
      return (await ask(honest, { ...claim, mode: "exclusive" })).acquired;
    }),
  },
  {
    name: "shortens",
    rule,
    breaks: extending((claim, honest) => prolong(honest, { ...claim, longestMs: 0 })),
  },
  {
    name: "never cuts a lease back",
    rule,
    breaks: extending((claim, honest) => prolong(honest, { ...claim, longestMs: Number.POSITIVE_INFINITY })),
  },
  {
    name: "extends the other shared leases as well",
    rule,
    breaks: extending(async (claim, honest) => {
      const extended = await prolong(honest, claim);
      if (extended) for (const { owner, token } of await holders(honest, claim.key)) await prolong(honest, { ...claim, owner, token });
      return extended;
    }),
  },
];
