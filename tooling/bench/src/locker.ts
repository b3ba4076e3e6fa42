/** Lockers: what can hold a key while a section runs. Every library and every floor is one, so that all do the same work. */
import { setTimeout as sleep } from "node:timers/promises";
import { type Contestant, type Round, timed } from "./contest.js";

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

/** Something that is counted on the server, such as commands; the difference of two readings belongs to a round. */
export interface Meter {
  readonly name: string;
  read(): Promise<number>;
}

export async function nothing(): Promise<void> {}

/** A section in which something happens that takes 1 ms. */
export async function oneMs(): Promise<void> {
  await sleep(1);
}

export const dlock = "dlock";

/** A locker that does `units` sections with `tasks` at once, in this process. */
export async function contestant(
  recipe: Recipe,
  url: string,
  work: { tasks: number; units: number; keyOf?: (unit: number) => string; section?: () => Promise<void>; meter?: Meter },
): Promise<Contestant> {
  const locker = await recipe.open(url);
  const { tasks, units, keyOf = () => "key", section = nothing, meter } = work;
  return {
    name: recipe.name,
    settings: recipe.settings,
    async round() {
      const before = await meter?.read();
      const round = await timed(tasks, units, (unit) => locker.hold(keyOf(unit), section));
      if (meter === undefined || before === undefined) return round;
      return { ...round, besides: { ...round.besides, [meter.name]: ((await meter.read()) - before) / units } };
    },
    close: () => locker.close(),
  };
}

/** The same, told as how long all units took, in ms. */
export async function drainer(recipe: Recipe, url: string, tasks: number): Promise<Contestant> {
  const { round, ...rest } = await contestant(recipe, url, { tasks, units: tasks, section: oneMs });
  return { ...rest, round: async () => inMs(await round(), tasks) };
}

function inMs(round: number | Round, units: number): Round {
  const { figure, besides = {} } = typeof round === "number" ? { figure: round } : round;
  return { figure: (units / figure) * 1_000, besides };
}

/** The sections alone: what a drain costs at least. */
export function sectionsAlone(units: number): Contestant {
  return {
    name: "the sections one after another, no lock",
    async round() {
      const start = performance.now();
      for (let unit = 0; unit < units; unit++) await oneMs();
      return performance.now() - start;
    },
  };
}
