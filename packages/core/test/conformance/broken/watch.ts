/** Drivers that break the promise of `watch`: they wake too few, or those who have gone. */
import {
  acquiring,
  ask,
  type Broken,
  both,
  call,
  extending,
  Fault,
  free,
  holderBy,
  holders,
  prolong,
  releasing,
  type World,
} from "../faults.ts";

const rule = "watch";

/** The keys of which nothing is told any more. */
const silence = (world: World) => world.recall("silence", () => new Set<string>());

const silenced: Broken["breaks"] = (honest, world) => ({
  ...honest,
  watch: async (claim, wake) => (await honest.watch?.(claim, () => silence(world).has(claim.key) || wake())) ?? (() => {}),
});

export const watch: readonly Broken[] = [
  {
    name: "never wakes anyone",
    rule,
    breaks: (honest) => ({ ...honest, watch: () => Promise.resolve(() => {}) }),
  },
  {
    name: "wakes only for its own releases",
    rule,
    breaks: (honest) => {
      const wakes = new Set<() => void>();
      return {
        ...honest,
        async release(claims) {
          const released = await honest.release(claims, call);
          for (const wake of wakes) wake();
          return released;
        },
        async watch(_claim, wake) {
          wakes.add(wake);
          return () => wakes.delete(wake);
        },
      };
    },
  },
  {
    name: "wakes only for the releases of others",
    rule,
    breaks: (honest) => {
      let releasing = false;
      return {
        ...honest,
        async release(claims) {
          releasing = true;
          const released = await honest.release(claims, call);
          releasing = false;
          return released;
        },
        watch: async (claim, wake) => (await honest.watch?.(claim, () => releasing || wake())) ?? (() => {}),
      };
    },
  },
  {
    name: "wakes when the last shared lease is released",
    rule,
    breaks: (honest) => ({
      ...honest,
      async watch(claim, wake) {
        const wakeIfFree = async () => {
          if ((await holders(honest, claim.key)).length === 0) wake();
        };
        return (await honest.watch?.(claim, () => void wakeIfFree())) ?? (() => {});
      },
    }),
  },
  {
    name: "wakes once",
    rule,
    breaks: (honest) => ({
      ...honest,
      async watch(claim, wake) {
        const stop = (await honest.watch?.(claim, () => {
          stop();
          wake();
        })) as () => void;
        return stop;
      },
    }),
  },
  {
    name: "wakes the last watcher of a key",
    rule,
    breaks: (honest, world) => ({
      ...honest,
      async watch(claim, wake) {
        const last = world.recall("last", () => new Map<string, () => void>());
        last.set(claim.key, wake);
        return (await honest.watch?.(claim, () => last.get(claim.key) === wake && wake())) ?? (() => {});
      },
    }),
  },
  {
    name: "goes on waking who has stopped",
    rule,
    breaks: (honest) => ({
      ...honest,
      async watch(claim, wake) {
        await honest.watch?.(claim, wake);
        return () => {};
      },
    }),
  },
  {
    name: "cannot be stopped twice",
    rule,
    breaks: (honest) => ({
      ...honest,
      async watch(claim, wake) {
        const stop = await honest.watch?.(claim, wake);
        let stopped = false;
        return () => {
          if (stopped) throw new Fault("stopped twice");
          stopped = true;
          stop?.();
        };
      },
    }),
  },
  {
    name: "takes the keys of watches for patterns",
    rule,
    breaks: (honest) => ({
      ...honest,
      watch: async (claim, wake) => (/[*{]/.test(claim.key) ? () => {} : ((await honest.watch?.(claim, wake)) ?? (() => {}))),
    }),
  },
  {
    name: "forgets with a renewal whom a lease has refused",
    rule,
    breaks: both(
      silenced,
      extending((claim, honest, world) => {
        silence(world).add(claim.key);
        return prolong(honest, claim);
      }),
    ),
  },
  {
    name: "forgets with a claim asked again whom a lease has refused",
    rule,
    breaks: both(
      silenced,
      acquiring(async (claim, honest, world) => {
        if ((await holderBy(honest, claim)) !== undefined) silence(world).add(claim.key);
        return ask(honest, claim);
      }),
    ),
  },
  {
    name: "wakes nobody when a place is given up, or granted",
    rule,
    breaks: both(
      (honest, world) => ({
        ...honest,
        watch: async (claim, wake) =>
          (await honest.watch?.(claim, () => world.recall("quiet", () => ({ on: false })).on || wake())) ?? (() => {}),
      }),
      releasing(async (claim, honest, world) => {
        const quiet = world.recall("quiet", () => ({ on: false }));
        quiet.on = (await holderBy(honest, claim)) === undefined;
        const released = await free(honest, claim);
        quiet.on = false;
        return released;
      }),
      acquiring(async (claim, honest, world) => {
        const quiet = world.recall("quiet", () => ({ on: false }));
        quiet.on = true;
        const result = await ask(honest, claim);
        quiet.on = false;
        return result;
      }),
    ),
  },
];
