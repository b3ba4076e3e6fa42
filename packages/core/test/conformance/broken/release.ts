/** Drivers that break R9: they free what is not the caller's, or do not free what is. */
import { type Broken, call, free, holderBy, holders, releasing } from "../faults.ts";

const rule = "R9";

export const release: readonly Broken[] = [
  {
    name: "says yes to every release",
    rule,
    breaks: releasing(async (claim, honest) => (await free(honest, claim)) || true),
  },
  {
    name: "says yes and frees nothing",
    rule,
    breaks: releasing(async (claim, honest) => (await holderBy(honest, claim)) !== undefined),
  },
  {
    name: "releases only what the same client took",
    rule,
    breaks: (honest) => {
      const mine = new Set<string>();
      return {
        ...honest,
        acquire(claims) {
          for (const { owner } of claims) mine.add(owner);
          return honest.acquire(claims, call);
        },
        release: (claims) => Promise.all(claims.map((claim) => mine.has(claim.owner) && free(honest, claim))),
      };
    },
  },
  {
    name: "releases by the owner, whatever the token",
    rule,
    breaks: releasing(({ key, owner }, honest) => free(honest, { key, owner })),
  },
  {
    name: "releases by the token, whatever the owner",
    rule,
    breaks: releasing(async (claim, honest) => {
      const held = (await holders(honest, claim.key)).find(({ token }) => token === claim.token);
      return free(honest, held === undefined ? claim : { ...claim, owner: held.owner });
    }),
  },
  {
    name: "releases whatever lease the key has",
    rule,
    breaks: releasing(async ({ key }, honest) => {
      const [held] = await holders(honest, key);
      return held !== undefined && free(honest, { key, owner: held.owner });
    }),
  },
  {
    name: "releases nothing without a token",
    rule,
    breaks: releasing((claim, honest) => claim.token !== undefined && free(honest, claim)),
  },
  {
    name: "remembers ended leases as releasable",
    rule,
    breaks: (honest, world) => {
      const granted = world.recall("granted", () => new Set<string>());
      return {
        ...honest,
        acquire(claims) {
          for (const { key, owner } of claims) granted.add(`${key} ${owner}`);
          return honest.acquire(claims, call);
        },
        release: (claims) =>
          Promise.all(
            claims.map(async (claim) => {
              const known = granted.delete(`${claim.key} ${claim.owner}`);
              return (await free(honest, claim)) || known;
            }),
          ),
      };
    },
  },
  {
    name: "releases all shared leases of a key at once",
    rule,
    breaks: releasing(async (claim, honest) => {
      const released = await free(honest, claim);
      if (released) for (const { owner } of await holders(honest, claim.key)) await free(honest, { key: claim.key, owner });
      return released;
    }),
  },
];
