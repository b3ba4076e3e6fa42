/** Drivers that break R6: their tokens do not always grow. */
import { type Broken, both, call, extending, minting, prolong } from "../faults.ts";

const rule = "R6";

/** Counts for each key; `restart` says when a key's count begins again. */
const counting = (restart: (grant: { key: string; free: boolean; index: number }) => boolean) =>
  minting(({ key, others, index }, world) => {
    const counts = world.recall("counts", () => new Map<string, bigint>());
    const next = restart({ key, free: others.length === 0, index }) ? 1n : (counts.get(key) ?? 0n) + 1n;
    counts.set(key, next);
    return next;
  });

export const tokens: readonly Broken[] = [
  {
    name: "counts its tokens beyond 2^53",
    rule,
    breaks: minting(({ token }) => token + 2n ** 53n),
  },
  {
    name: "forgets the token of a key that is free",
    rule,
    breaks: counting(({ free }) => free),
  },
  {
    name: "forgets the token of a key at a sweep",
    rule,
    breaks: both(
      counting(() => false),
      (honest, world) => ({
        ...honest,
        async sweep() {
          world.recall("counts", () => new Map()).clear();
          return honest.sweep(call);
        },
      }),
    ),
  },
  {
    name: "counts tokens for each client",
    rule,
    breaks: minting((_grant, _world, mine) => {
      mine.count += 1n;
      return mine.count;
    }),
  },
  {
    name: "counts tokens inside a batch",
    rule,
    breaks: minting(({ index }) => BigInt(index) + 1n),
  },
  {
    name: "gives the number of holders as the token",
    rule,
    breaks: minting(({ others }) => BigInt(others.length) + 1n),
  },
  {
    name: "gives a new token when a lease is extended",
    rule,
    breaks: both(
      minting(({ token }) => token),
      extending(async (claim, honest, world) => {
        const extended = await prolong(honest, claim);
        if (extended) world.recall("tokens", () => new Map<string, bigint>()).set(`${claim.key} ${claim.token}`, claim.token + 1_000n);
        return extended;
      }),
    ),
  },
];
