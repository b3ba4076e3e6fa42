/** Drivers that break R3: they let in whom they must keep out, or keep out whom they must let in. */
import { memoryDriver } from "../../../../memory/src/index.ts";
import { acquiring, ask, type Broken, both, force, free, holderBy, holders, prolong, releasing } from "../faults.ts";

const rule = "R3";

export const exclusion: readonly Broken[] = [
  {
    name: "lets a second exclusive claim in",
    rule,
    breaks: acquiring(async (claim, honest) => {
      const [held] = await holders(honest, claim.key);
      return held?.mode === "exclusive" && claim.mode === "exclusive" ? force(honest, claim) : ask(honest, claim);
    }),
  },
  {
    name: "keeps its leases to the client that took them",
    rule,
    breaks: (_honest, { clock }) => memoryDriver({ clock }),
  },
  {
    name: "grants shared claims under an exclusive lease",
    rule,
    breaks: acquiring(async (claim, honest) => {
      const [held] = await holders(honest, claim.key);
      return held?.mode === "exclusive" && claim.mode === "shared" ? force(honest, claim) : ask(honest, claim);
    }),
  },
  {
    name: "grants exclusive claims under a shared lease",
    rule,
    breaks: acquiring(async (claim, honest) => {
      const [held] = await holders(honest, claim.key);
      return held?.mode === "shared" && claim.mode === "exclusive" ? force(honest, claim) : ask(honest, claim);
    }),
  },
  {
    name: "takes shared claims for exclusive ones",
    rule,
    breaks: acquiring(({ limit: _, ...claim }, honest) => ask(honest, { ...claim, mode: "exclusive" })),
  },
  {
    name: "ignores limits",
    rule,
    breaks: acquiring(({ limit: _, ...claim }, honest) => ask(honest, claim)),
  },
  {
    name: "admits one more than the limit",
    rule,
    breaks: acquiring((claim, honest) => ask(honest, claim.limit === undefined ? claim : { ...claim, limit: claim.limit + 1 })),
  },
  {
    name: "takes a limit of one for none",
    rule,
    breaks: acquiring(({ limit, ...claim }, honest) => ask(honest, limit === undefined || limit === 1 ? claim : { ...claim, limit })),
  },
  {
    name: "goes by the limit that was asked for first",
    rule,
    breaks: acquiring(({ limit, ...claim }, honest, world) => {
      const first = world.recall(`limit ${claim.key}`, () => limit);
      return ask(honest, first === undefined ? claim : { ...claim, limit: first });
    }),
  },
  {
    name: "never gives a released slot back",
    rule,
    breaks: releasing(async (claim, honest) => {
      const held = await holderBy(honest, claim);
      if (held?.mode !== "shared") return free(honest, claim);
      return prolong(honest, { ...claim, token: held.token, ttlMs: 60_000, longestMs: 60_000 });
    }),
  },
  {
    name: "never gives the slot of an ended lease back",
    rule,
    breaks: both(
      acquiring(async (claim, honest, world) => {
        const taken = world.recall(`taken ${claim.key}`, () => new Set<string>());
        if (claim.limit !== undefined && taken.size >= claim.limit && !taken.has(claim.owner)) return { acquired: false };
        const result = await ask(honest, claim);
        if (result.acquired) taken.add(claim.owner);
        return result;
      }),
      releasing((claim, honest, world) => {
        world.recall(`taken ${claim.key}`, () => new Set<string>()).delete(claim.owner);
        return free(honest, claim);
      }),
    ),
  },
  {
    name: "frees a key when the first of its shared leases is released",
    rule,
    breaks: releasing(async (claim, honest) => {
      const released = await free(honest, claim);
      if (released) for (const { owner } of await holders(honest, claim.key)) await free(honest, { key: claim.key, owner });
      return released;
    }),
  },
  {
    name: "keeps a key in the mode of its first lease",
    rule,
    breaks: acquiring((claim, honest, world) =>
      world.recall(`mode ${claim.key}`, () => claim.mode) === claim.mode ? ask(honest, claim) : { acquired: false },
    ),
  },
  {
    name: "keeps a place for whoever was refused",
    rule,
    breaks: acquiring((claim, honest) => ask(honest, { ...claim, queue: true })),
  },
  {
    name: "looks first and takes later",
    rule,
    breaks: (honest, { clock }) => ({
      ...honest,
      async acquire(claims) {
        const seen = await Promise.all(claims.map(({ key }) => holders(honest, key)));
        await new Promise<void>((resolve) => clock.setTimer(resolve, 1, true));
        return Promise.all(
          claims.map(({ limit, ...claim }, index) => {
            const others = (seen[index] ?? []).filter(({ owner }) => owner !== claim.owner);
            const allowed = claim.mode === "exclusive" || others[0]?.mode === "exclusive" ? 1 : (limit ?? Number.POSITIVE_INFINITY);
            return others.length < allowed ? force(honest, claim) : { acquired: false as const };
          }),
        );
      },
    }),
  },
];
