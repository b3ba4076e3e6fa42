/** Drivers that break R4: they do not know an owner again, or know it too well. */
import { acquiring, ask, type Broken, both, free, holderBy, holders, prolong, showing } from "../faults.ts";

const rule = "R4";

export const idempotence: readonly Broken[] = [
  {
    name: "gives an owner who asks again a new token",
    rule,
    breaks: acquiring(async (claim, honest) => {
      await free(honest, claim);
      return ask(honest, claim);
    }),
  },
  {
    name: "refuses an owner who asks again",
    rule,
    breaks: acquiring(async (claim, honest) => ((await holderBy(honest, claim)) === undefined ? ask(honest, claim) : { acquired: false })),
  },
  {
    name: "does not renew when an owner asks again",
    rule,
    breaks: acquiring(async (claim, honest) => {
      const held = await holderBy(honest, claim);
      return held?.mode === claim.mode ? { acquired: true, token: held.token, ttlMs: claim.ttlMs } : ask(honest, claim);
    }),
  },
  {
    name: "does not renew when an owner asks again while the others alone fill the limit",
    rule,
    breaks: acquiring(async (claim, honest) => {
      const all = await holders(honest, claim.key);
      const held = all.find(({ owner }) => owner === claim.owner);
      const full = claim.limit !== undefined && all.length - 1 >= claim.limit;
      return held?.mode === "shared" && full ? { acquired: true, token: held.token, ttlMs: claim.ttlMs } : ask(honest, claim);
    }),
  },
  {
    name: "shortens when an owner asks again for less",
    rule,
    breaks: acquiring(async (claim, honest) => {
      const held = await holderBy(honest, claim);
      if (held?.mode !== claim.mode) return ask(honest, claim);
      await prolong(honest, { ...claim, token: held.token, longestMs: 0 });
      return { acquired: true, token: held.token, ttlMs: claim.ttlMs };
    }),
  },
  {
    name: "shows the metadata of the last asking",
    rule,
    breaks: both(
      acquiring((claim, honest, world) => {
        world.recall("metadata", () => new Map<string, string | undefined>()).set(claim.key, claim.metadata);
        return ask(honest, claim);
      }),
      showing((shown, key, _honest, world) => {
        const metadata = world.recall("metadata", () => new Map<string, string>()).get(key);
        return shown.map(({ metadata: _, ...holder }) => (metadata === undefined ? holder : { ...holder, metadata }));
      }),
    ),
  },
  {
    name: "grants an owner the other mode as well",
    rule,
    breaks: acquiring(async (claim, honest) => {
      const held = await holderBy(honest, claim);
      return ask(honest, held === undefined ? claim : { ...claim, mode: held.mode });
    }),
  },
  {
    name: "takes a second slot when an owner asks again",
    rule,
    breaks: acquiring(async (claim, honest) => {
      const held = await holderBy(honest, claim);
      if (held !== undefined) await ask(honest, { ...claim, owner: `${claim.owner} again` });
      return ask(honest, claim);
    }),
  },
  {
    name: "counts an owner's own slot against it",
    rule,
    breaks: acquiring(async (claim, honest) => {
      const taken = (await holders(honest, claim.key)).length;
      return claim.limit !== undefined && taken >= claim.limit ? { acquired: false } : ask(honest, claim);
    }),
  },
  {
    name: "remembers an owner's token beyond its lease",
    rule,
    breaks: acquiring(async (claim, honest, world) => {
      const result = await ask(honest, claim);
      if (!result.acquired) return result;
      return { ...result, token: world.recall(`token ${claim.key} ${claim.owner}`, () => result.token) };
    }),
  },
];
