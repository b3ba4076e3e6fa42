/** Drivers that break R10: what happens to one claim of a batch depends on the others. */
import type { AcquireClaim, AcquireResult, LockDriver } from "../../../src/index.ts";
import { ask, type Broken, call, free, prolong } from "../faults.ts";

const rule = "R10";

/** Changes what becomes of a whole acquire batch. */
const acquiringAll =
  (fate: (claims: readonly AcquireClaim[], honest: LockDriver) => Promise<AcquireResult[]>): Broken["breaks"] =>
  (honest) => ({ ...honest, acquire: (claims) => fate(claims, honest) });

const inTurn = async (claims: readonly AcquireClaim[], honest: LockDriver) => {
  const results: AcquireResult[] = [];
  for (const claim of claims) results.push(await ask(honest, claim));
  return results;
};

export const batch: readonly Broken[] = [
  {
    name: "refuses a whole batch when one claim is refused",
    rule,
    breaks: acquiringAll(async (claims, honest) => {
      const results = await inTurn(claims, honest);
      return results.every(({ acquired }) => acquired) ? results : results.map(() => ({ acquired: false }));
    }),
  },
  {
    name: "answers the granted claims first",
    rule,
    breaks: acquiringAll(async (claims, honest) => (await inTurn(claims, honest)).sort((a, b) => Number(b.acquired) - Number(a.acquired))),
  },
  {
    name: "stops at the first refusal",
    rule,
    breaks: acquiringAll(async (claims, honest) => {
      const results: AcquireResult[] = [];
      for (const claim of claims) results.push(results.at(-1)?.acquired === false ? { acquired: false } : await ask(honest, claim));
      return results;
    }),
  },
  {
    name: "takes mode, limit and TTL of a batch from its first claim",
    rule,
    breaks: acquiringAll((claims, honest) =>
      inTurn(
        claims.map(({ key, owner }) => ({ ...(claims[0] as AcquireClaim), key, owner })),
        honest,
      ),
    ),
  },
  {
    name: "forgets the answers after the hundredth claim",
    rule,
    breaks: acquiringAll(async (claims, honest) => inTurn(claims.slice(0, 100), honest)),
  },
  {
    name: "refuses what does not fit into one request",
    rule,
    breaks: acquiringAll(async (claims, honest) =>
      JSON.stringify(claims).length < 500_000 ? inTurn(claims, honest) : claims.map(() => ({ acquired: false })),
    ),
  },
  {
    name: "extends no more than a hundred leases at once",
    rule,
    breaks: (honest) => ({
      ...honest,
      extend: (claims) => Promise.all(claims.map((claim, index) => index < 100 && prolong(honest, claim))),
    }),
  },
  {
    name: "says no to all extensions of a batch when one fails",
    rule,
    breaks: (honest) => ({
      ...honest,
      async extend(claims) {
        const all = (await honest.extend(claims, call)).every((extended) => extended === true);
        return claims.map(() => all);
      },
    }),
  },
  {
    name: "says yes to all releases of a batch when one succeeds",
    rule,
    breaks: (honest) => ({
      ...honest,
      async release(claims) {
        const some = (await honest.release(claims, call)).some((released) => released === true);
        return claims.map(() => some);
      },
    }),
  },
  {
    name: "looks at one owner for each key of a batch",
    rule,
    breaks: (honest) => {
      const last = <C extends { key: string }>(claims: readonly C[]) => new Map(claims.map((claim) => [claim.key, claim]));
      return {
        ...honest,
        extend: async (claims) => Promise.all(claims.map((claim) => last(claims).get(claim.key) === claim && prolong(honest, claim))),
        release: async (claims) => Promise.all(claims.map((claim) => last(claims).get(claim.key) === claim && free(honest, claim))),
      };
    },
  },
];
