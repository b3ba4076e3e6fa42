/**
 * A contest: the same work done by several contestants in turn, round after round in one process, and judged by ratios. Absolute times drift
 * on shared machines; what ran a moment ago on the same one does not.
 */

/** One way to do the work. `round` does it once and resolves to a figure: units a second, or a latency in ms. */
export interface Contestant {
  readonly name: string;
  round(): Promise<number>;
  close?(): Promise<void> | void;
}

export interface Contest {
  readonly title: string;
  /** What the figures count. */
  readonly unit: string;
  /** Whether a larger figure is better (throughput) or a smaller one (latency). */
  readonly better: "more" | "less";
  /** The first is the floor that the others are compared with. */
  readonly contestants: readonly Contestant[];
  /** What one of them must reach, as a ratio to the floor. */
  readonly target?: { readonly name: string; readonly ratio: number };
}

export interface Row {
  readonly title: string;
  readonly unit: string;
  readonly name: string;
  readonly median: number;
  /** To the floor of the same round: the median of the rounds, the lowest and the highest. */
  readonly ratio: number;
  readonly lowest: number;
  readonly highest: number;
  /** Undefined where nothing was aimed at. */
  readonly target: number | undefined;
  readonly reached: boolean | undefined;
  /** Every round's figure. */
  readonly rounds: readonly number[];
}

/** Runs `rounds` rounds after one to warm up. The order turns, so that nobody always follows the same neighbour. */
export async function hold(contest: Contest, rounds: number): Promise<Row[]> {
  const { contestants } = contest;
  const figures = contestants.map((): number[] => []);
  try {
    for (let round = -1; round < rounds; round++) {
      for (let turn = 0; turn < contestants.length; turn++) {
        const index = (turn + Math.max(round, 0)) % contestants.length;
        globalThis.gc?.();
        const figure = await (contestants[index] as Contestant).round();
        if (round >= 0) (figures[index] as number[]).push(figure);
      }
    }
  } finally {
    for (const contestant of contestants) await contestant.close?.();
  }
  return contestants.map(({ name }, index) => judge(contest, name, figures[index] as number[], figures[0] as number[]));
}

function judge({ title, unit, better, target }: Contest, name: string, rounds: number[], floor: number[]): Row {
  const ratios = rounds.map((figure, round) => figure / (floor[round] as number));
  const ratio = median(ratios);
  const aim = target?.name === name ? target.ratio : undefined;
  return {
    title,
    unit,
    name,
    median: median(rounds),
    ratio,
    lowest: Math.min(...ratios),
    highest: Math.max(...ratios),
    target: aim,
    reached: aim === undefined ? undefined : better === "more" ? ratio >= aim : ratio <= aim,
    rounds,
  };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[middle] as number) : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

/** Units a second of `work`, which does `units` of them. */
export async function throughput(units: number, work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return (units / (performance.now() - start)) * 1_000;
}

/** `tasks` at once share `units` runs of `run`. */
export async function together(tasks: number, units: number, run: (unit: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < units) await run(next++);
  };
  await Promise.all(Array.from({ length: tasks }, worker));
}
