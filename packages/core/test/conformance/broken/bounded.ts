/** Drivers that break R7: they keep too much, or sweep too much. */
import { acquiring, ask, type Broken, call, free, holders } from "../faults.ts";

const rule = "R7";

export const bounded: readonly Broken[] = [
  {
    name: "sweeps live leases",
    rule,
    breaks: (honest) => ({
      ...honest,
      async sweep() {
        let swept = 0;
        for await (const claim of honest.list({})) swept += Number(await free(honest, claim));
        return swept;
      },
    }),
  },
  {
    name: "sweeps what is live together with what has ended",
    rule,
    breaks: (honest, world) => ({
      ...honest,
      async sweep() {
        let swept = 0;
        for (const key of [...world.store.keys()]) {
          const live = await holders(honest, key);
          const kept = world.store.size;
          await free(honest, { key, owner: "nobody" });
          if (world.store.size < kept) for (const { owner } of live) swept += Number(await free(honest, { key, owner }));
        }
        return swept + (await honest.sweep(call));
      },
    }),
  },
  {
    name: "counts what it has swept before",
    rule,
    breaks: (honest, world) => {
      const total = world.recall("swept", () => ({ count: 0 }));
      return {
        ...honest,
        async sweep() {
          total.count += await honest.sweep(call);
          return total.count;
        },
      };
    },
  },
  {
    name: "keeps a record for every key it has seen",
    rule,
    breaks: acquiring((claim, honest, world) => {
      world.recall(`seen ${claim.key}`, () => {
        world.extraRecords += 1;
        return true;
      });
      return ask(honest, claim);
    }),
  },
  {
    name: "sweeps nothing",
    rule,
    breaks: (honest) => ({ ...honest, sweep: () => Promise.resolve(0) }),
  },
];
