/**
 * A contest: the same work done by several contestants in turn, round after round in one process, and judged by ratios. Absolute times drift
 * on shared machines; what ran a moment ago on the same one does not.
 */

import type { Profiler } from "./profile.js";

/** What one round says: the figure that is compared, and further ones by name, such as `"p99 ms"`. */
export interface Round {
  readonly figure: number;
  readonly besides?: Readonly<Record<string, number>>;
  /** What each process had of the whole, in parts of 1, where several share it. */
  readonly shares?: readonly number[];
}

/** One way to do the work. `round` does it once. */
export interface Contestant {
  readonly name: string;
  /** How it is set up, for the reader to judge whether that is fair. */
  readonly settings?: string;
  /** Where it stands on a line of growth, for instance how many keys are held. */
  readonly at?: number;
  round(): Promise<number | Round>;
  /** Works until its code is compiled and its connections are open; a round when there is none. */
  warmUp?(): Promise<unknown>;
  close?(): Promise<void> | void;
}

/** What somebody must reach: in the figure, or in one of those besides it; as a ratio to the floor, a difference to it, or as it is. */
export type Target = {
  readonly name: string;
  readonly of?: string;
  readonly as?: "ratio" | "difference" | "value";
} & ({ readonly atLeast: number } | { readonly atMost: number });

/** How large a round is. */
export interface Size {
  readonly forMs: number;
  /** How many locks are held where their renewal is measured. */
  readonly held: number;
}

export interface Contest {
  readonly title: string;
  /** What the figures count. */
  readonly unit: string;
  /** Whether a larger figure is better (throughput) or a smaller one (latency). */
  readonly better: "more" | "less";
  /** Where it stands on a line of works that differ in nothing else: how many go on at once. */
  readonly at?: number;
  /** At most so many rounds, where each of them takes long. */
  readonly rounds?: number;
  /** Opened when it is their turn. The first is the floor that the others are compared with, unless `against` says otherwise. */
  contestants(): readonly Contestant[] | Promise<readonly Contestant[]>;
  /** Instead of the first: whoever of the others than this one did best in a round. */
  readonly against?: { readonly bestBut: string };
  readonly targets?: readonly Target[];
  /** Those who cannot do this work, and why. */
  readonly absent?: Readonly<Record<string, string>>;
}

export interface Judgement {
  readonly of: string;
  readonly as: "ratio" | "difference" | "value";
  readonly atLeast?: number;
  readonly atMost?: number;
  readonly measured: number;
  readonly reached: boolean;
}

export interface Row {
  readonly title: string;
  readonly unit: string;
  readonly better: "more" | "less";
  readonly name: string;
  readonly settings: string | undefined;
  readonly at?: number | undefined;
  readonly median: number;
  /** To the floor of the same round: the median of the rounds, the lowest and the highest. */
  readonly ratio: number;
  readonly lowest: number;
  readonly highest: number;
  /** The medians of what was measured besides. */
  readonly besides: Readonly<Record<string, number>>;
  /** What each process had, the luckiest first: medians of the rounds. */
  readonly shares?: readonly number[] | undefined;
  readonly judgements: readonly Judgement[];
  /** Every round's figure. */
  readonly rounds: readonly number[];
  /** Why there are no figures. */
  readonly absent?: string;
}

/**
 * Runs `rounds` rounds after a warm-up. No collection is forced in between: it makes V8 forget the shapes of objects of which none lives
 * just then, and with them the compiled code, which no program does to itself and which doubles the time of whoever has the most of it.
 * A peer that fails has a row that says so; a floor or dlock that does ends the run.
 *
 * @param profiler looks on at dlock's turns.
 */
export async function hold(contest: Contest, rounds: number, profiler?: Profiler): Promise<Row[]> {
  const opened = await contest.contestants();
  const contestants = profiler === undefined ? opened : opened.map((each) => profiler.watch(contest, each));
  const results = contestants.map((): Round[] => []);
  const failed: Record<string, string> = {};
  const last = Math.min(rounds, contest.rounds ?? rounds);
  try {
    const turn = async <T>(index: number, work: (contestant: Contestant) => Promise<T>): Promise<T | undefined> => {
      const contestant = contestants[index] as Contestant;
      if (failed[contestant.name] !== undefined) return undefined;
      return work(contestant).catch((error: unknown) => {
        // A long run must not end because some peer gives up.
        if (index === 0 || contestant.name.startsWith("dlock")) throw error;
        failed[contestant.name] = `failed: ${String(error).split("\n")[0]}`;
        return undefined;
      });
    };
    for (const index of contestants.keys()) await turn(index, (each) => each.warmUp?.() ?? each.round());
    for (let round = 0; round < last; round++) {
      for (const index of order(contestants.length, round)) {
        const said = await turn(index, (each) => each.round());
        if (said !== undefined) (results[index] as Round[]).push(typeof said === "number" ? { figure: said } : said);
      }
    }
  } finally {
    for (const contestant of contestants) await contestant.close?.();
  }
  const stood = contestants.map((contestant, index) => ({ contestant, rounds: results[index] as Round[] }));
  const whole = stood.filter(({ contestant }) => failed[contestant.name] === undefined);
  const figures = whole.map(({ rounds }) => rounds);
  const floor = floorOf(
    contest,
    whole.map(({ contestant }) => contestant),
    figures,
  );
  const absent = Object.entries({ ...contest.absent, ...failed }).map(([name, why]) => absentee(contest, name, why));
  return [...whole.map(({ contestant }, index) => judge(contest, contestant, floor, figures, index)), ...absent];
}

/**
 * Whose turn it is, one after another. Every second round goes backwards: who came early comes late, and a machine that grows slower or faster
 * meanwhile favours nobody. Every two rounds somebody else begins.
 */
export function order(count: number, round: number): number[] {
  const forth = Array.from({ length: count }, (_, turn) => (turn + (round >> 1)) % count);
  return round % 2 === 0 ? forth : forth.reverse();
}

/** One figure of one contestant, round for round. */
type Series = readonly number[];

function judge(
  contest: Contest,
  { name, settings, at = contest.at }: Contestant,
  floor: Series,
  results: readonly Round[][],
  index: number,
): Row {
  const { title, unit, better, targets = [] } = contest;
  const rounds = (results[index] as Round[]).map(({ figure }) => figure);
  const ratios = rounds.map((figure, round) => figure / (floor[round] as number));
  const names = Object.keys(results[index]?.[0]?.besides ?? {});
  return {
    title,
    unit,
    better,
    name,
    settings,
    at,
    median: median(rounds),
    ratio: median(ratios),
    lowest: Math.min(...ratios),
    highest: Math.max(...ratios),
    besides: Object.fromEntries(names.map((each) => [each, median(besides(results, index, each))])),
    shares: sharesOf(results[index] as Round[]),
    judgements: targets
      .filter((target) => target.name === name)
      .map((target) => {
        const { of } = target;
        return of === undefined
          ? judgement(target, unit, rounds, floor)
          : judgement(target, of, besides(results, index, of), target.as === "value" ? [] : besides(results, 0, of));
      }),
    rounds,
  };
}

function sharesOf(rounds: readonly Round[]): number[] | undefined {
  const sorted = rounds.flatMap(({ shares }) => (shares === undefined ? [] : [[...shares].sort((one, other) => other - one)]));
  const medians = sorted[0]?.map((_, rank) => median(sorted.map((shares) => shares[rank] as number)));
  const all = medians?.reduce((sum, each) => sum + each, 0) ?? 1;
  // Medians of parts need not make up the whole.
  return medians?.map((each) => each / all);
}

function besides(results: readonly Round[][], index: number, name: string): Series {
  return (results[index] as Round[]).map((round) => {
    const figure = round.besides?.[name];
    if (figure === undefined) throw new Error(`nobody measured ${JSON.stringify(name)}`);
    return figure;
  });
}

function floorOf({ against, better }: Contest, contestants: readonly Contestant[], results: readonly Round[][]): Series {
  if (against === undefined) return (results[0] as Round[]).map(({ figure }) => figure);
  const others = results.filter((_, index) => contestants[index]?.name !== against.bestBut);
  return (results[0] as Round[]).map((_, round) => {
    const figures = others.map((rounds) => (rounds[round] as Round).figure);
    return better === "more" ? Math.max(...figures) : Math.min(...figures);
  });
}

function judgement(target: Target, of: string, rounds: Series, floor: Series): Judgement {
  const { as = "ratio" } = target;
  const measured = median(
    rounds.map((figure, round) => {
      if (as === "value") return figure;
      return as === "ratio" ? figure / (floor[round] as number) : figure - (floor[round] as number);
    }),
  );
  return "atLeast" in target
    ? { of, as, atLeast: target.atLeast, measured, reached: measured >= target.atLeast }
    : { of, as, atMost: target.atMost, measured, reached: measured <= target.atMost };
}

function absentee({ title, unit, better }: Contest, name: string, why: string): Row {
  const none = Number.NaN;
  const empty = { settings: undefined, median: none, ratio: none, lowest: none, highest: none, besides: {}, judgements: [], rounds: [] };
  return { title, unit, better, name, ...empty, absent: why };
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** @param share 0 to 1; between two values the mean of both for the median, the higher one elsewhere. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((one, other) => one - other);
  if (share === 0.5 && sorted.length % 2 === 0) {
    const middle = sorted.length >> 1;
    return ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
  }
  return sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)] as number;
}
