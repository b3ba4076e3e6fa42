/** Lockers: what can hold a key while a section runs. Every library and every floor is one, so that all do the same work. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Contestant } from "./contest.js";
import { clientCpu, each, latency, metered, rounds, type Work } from "./work.js";

export interface Locker {
  /** Waits as long as it takes, runs `section` under the lock, lets go. */
  hold(key: string, section: () => Promise<void>): Promise<void>;
  close(): Promise<void>;
}

/** How to make a locker, here or in another process. */
export interface Recipe {
  readonly name: string;
  readonly settings: string;
  /** The commands that its client sends, where the server cannot tell them from those of scripts. */
  readonly sends?: readonly string[];
  /** @param url of the server. */
  open(url: string): Promise<Locker>;
}

export async function nothing(): Promise<void> {}

/** A section in which something happens that takes 1 ms. */
export async function oneMs(): Promise<void> {
  await sleep(1);
}

export const dlock = "dlock";

/** A locker that does sections again and again, in this process. */
export async function contestant(
  recipe: Recipe,
  url: string,
  work: Work & { keyOf?: (unit: number) => string; section?: () => Promise<void> },
): Promise<Contestant> {
  const locker = await recipe.open(url);
  const { keyOf = () => "key", section = nothing } = work;
  return {
    name: recipe.name,
    settings: recipe.settings,
    ...rounds(work, (unit) => locker.hold(keyOf(unit), section), work.keyOf !== undefined),
    close: () => locker.close(),
  };
}

/** As many sections of 1 ms as there are tasks, all asked for at once: how long until the last is over, in ms. */
export async function drainer(recipe: Recipe, url: string, { tasks, forMs, meter }: Work): Promise<Contestant> {
  const locker = await recipe.open(url);
  return {
    name: recipe.name,
    settings: recipe.settings,
    async round() {
      const latencies: number[] = [];
      const cpu = process.cpuUsage();
      const { done, counts } = await metered(meter, () =>
        drains(forMs, async () => {
          const start = performance.now();
          const waiter = async () => {
            await locker.hold("key", oneMs);
            latencies.push(performance.now() - start);
          };
          await Promise.all(Array.from({ length: tasks }, waiter));
        }),
      );
      const { user, system } = process.cpuUsage(cpu);
      const units = latencies.length;
      return { figure: done, besides: { ...latency(latencies), [clientCpu]: (user + system) / units, ...each(counts, units) } };
    },
    close: () => locker.close(),
  };
}

/** The sections alone: what a drain costs at least. */
export function sectionsAlone(units: number, forMs: number): Contestant {
  return {
    name: "the sections one after another, no lock",
    round: () =>
      drains(forMs, async () => {
        for (let unit = 0; unit < units; unit++) await oneMs();
      }),
  };
}

/** The mean time of one drain of as many as there is time for, in ms. */
async function drains(forMs: number, drain: () => Promise<void>): Promise<number> {
  const start = performance.now();
  let count = 0;
  do {
    await drain();
    count++;
  } while (performance.now() - start < forMs);
  return (performance.now() - start) / count;
}
