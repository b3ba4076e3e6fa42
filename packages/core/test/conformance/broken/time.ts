/** Drivers that break R5: leases that end too early or too late, or are said to. */
import { acquiring, ask, type Broken, both, extending, prolong } from "../faults.ts";

const rule = "R5";

export const time: readonly Broken[] = [
  {
    name: "rounds TTLs down",
    rule,
    breaks: acquiring(async (claim, honest) => {
      const ttlMs = Math.max(1, Math.floor(claim.ttlMs / 1_000) * 1_000);
      return ask(honest, { ...claim, ttlMs });
    }),
  },
  {
    name: "reports a TTL that is not a multiple of its step",
    rule,
    breaks: acquiring(async (claim, honest) => {
      const result = await ask(honest, claim);
      return result.acquired ? { ...result, ttlMs: result.ttlMs + 0.5 } : result;
    }),
  },
  {
    name: "ends leases a tenth early",
    rule,
    breaks: acquiring(async (claim, honest) => {
      const result = await ask(honest, { ...claim, ttlMs: claim.ttlMs * 0.9 });
      return result.acquired ? { ...result, ttlMs: claim.ttlMs } : result;
    }),
  },
  {
    name: "ends extended leases a tenth early",
    rule,
    breaks: extending((claim, honest) => prolong(honest, { ...claim, ttlMs: claim.ttlMs * 0.9 })),
  },
  {
    name: "counts an extension from the grant",
    rule,
    breaks: extending(async (claim, honest) => {
      const held = (await honest.inspect(claim.key, { timeoutMs: 1 })).find(({ owner }) => owner === claim.owner);
      return prolong(honest, { ...claim, ttlMs: Math.max(1, claim.ttlMs - (held?.heldMs ?? 0)) });
    }),
  },
  {
    name: "never ends a lease",
    rule,
    breaks: acquiring(async (claim, honest) => {
      const result = await ask(honest, { ...claim, ttlMs: claim.ttlMs * 1_000 });
      return result.acquired ? { ...result, ttlMs: claim.ttlMs } : result;
    }),
  },
  {
    name: "keeps ended leases in the way though it no longer shows them",
    rule,
    breaks: both(
      acquiring(async (claim, honest, { clock, recall }) => {
        const late = recall("late", () => new Map<string, { owner: string; until: number }>());
        const before = late.get(claim.key);
        if (before !== undefined && before.owner !== claim.owner && before.until > clock.now()) return { acquired: false };
        const result = await ask(honest, claim);
        if (result.acquired) late.set(claim.key, { owner: claim.owner, until: clock.now() + 100 * claim.ttlMs });
        return result;
      }),
    ),
  },
  {
    name: "keeps milliseconds in 32 bits",
    rule,
    breaks: acquiring(async (claim, honest) => {
      const result = await ask(honest, { ...claim, ttlMs: Math.min(claim.ttlMs, 2 ** 31 - 1) });
      return result.acquired ? { ...result, ttlMs: Math.ceil(claim.ttlMs) } : result;
    }),
  },
];
