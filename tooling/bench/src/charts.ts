/** Which pictures the rows of a run make. */
import type { Row } from "./contest.js";
import { type Bar, bars, type Group, lines, type Panel, portions } from "./drawing.js";
import { dlock } from "./locker.js";
import { isFloor, suiteOf } from "./report.js";

export interface Chart {
  /** Of the file, without its ending. */
  readonly name: string;
  /** What it shows, for those who do not see it. */
  readonly says: string;
  readonly svg: string;
}

/** Suites that have no bars of ratios: their figures say it all, or have pictures of their own. */
const plain = ["noise", "growth", "import"];

export function chartsOf(rows: readonly Row[]): Chart[] {
  const measured = rows.filter(({ absent }) => absent === undefined);
  const suites = [...new Set(measured.map(suiteOf))].filter((suite) => !plain.includes(suite));
  return [
    ...suites.flatMap((suite) => {
      const own = measured.filter((row) => suiteOf(row) === suite);
      return [...ratios(suite, own), ...concurrency(suite, own), ...fairness(suite, own)];
    }),
    ...growth(measured.filter((row) => suiteOf(row) === "growth")),
  ];
}

function ratios(suite: string, rows: readonly Row[]): Chart[] {
  const groups = works(rows).map((work): Group => {
    const others = work.filter((row) => !isFloor(row));
    return {
      title: captionOf(work[0] as Row),
      bars: others.map(barOf).sort((one, other) => Number(other.name === dlock) - Number(one.name === dlock)),
    };
  });
  const shown = groups.filter((group) => group.bars.length > 0);
  if (shown.length === 0) return [];
  const says = `${suite}: how many times as fast as the floor`;
  const axis = "times as fast as the floor (1); thin line: lowest to highest round; upright stroke: what dlock aims at";
  return [{ name: suite, says, svg: bars(says, axis, shown, dlock) }];
}

/** All ratios so that more is better. */
function barOf({ name, better, ratio, lowest, highest, judgements, unit }: Row): Bar {
  const shown = name.startsWith(`${dlock} `) ? dlock : name;
  const aim = judgements.find(({ as, of }) => as === "ratio" && of === unit);
  const bound = aim?.atLeast ?? aim?.atMost;
  if (better === "more") return { name: shown, ratio, lowest, highest, aim: bound };
  return { name: shown, ratio: 1 / ratio, lowest: 1 / highest, highest: 1 / lowest, aim: bound === undefined ? undefined : 1 / bound };
}

function concurrency(suite: string, rows: readonly Row[]): Chart[] {
  const panels = ["distinct keys", "one key"].flatMap((work): Panel[] => {
    const own = rows.filter(({ title, at }) => at !== undefined && title.includes(work));
    if (new Set(own.map(({ at }) => at)).size < 3) return [];
    return [{ title: `${work}, ${own[0]?.unit}`, log: true, lines: linesOf(own, ({ name }) => name) }];
  });
  if (panels.length === 0) return [];
  const says = `${suite}: throughput by how many want a lock at once, in one process`;
  return [{ name: `${suite}-concurrency`, says, svg: lines(says, "at once", panels, dlock) }];
}

function fairness(suite: string, rows: readonly Row[]): Chart[] {
  const work = works(rows.filter(({ shares }) => shares !== undefined)).at(-1);
  if (work === undefined) return [];
  const says = `${(work[0] as Row).title}: who had how many sections, and the longest wait`;
  const all = work.map(({ name, shares = [], besides }) => ({ name, shares, longestMs: besides["longest wait ms"] ?? Number.NaN }));
  return [{ name: `${suite}-fairness`, says, svg: portions(says, all) }];
}

function growth(rows: readonly Row[]): Chart[] {
  const backendOf = ({ title }: Row) => title.split(", ")[1] as string;
  const of = (text: string) => rows.filter(({ title }) => title.includes(text));
  const panel = (title: string, own: readonly Row[], figureOf: (row: Row) => number, log = true): Panel => ({
    title,
    log,
    lines: linesOf(own, backendOf, figureOf),
  });
  const charts: Chart[] = [];
  const held = of("held at the same time");
  if (held.length > 0) {
    const says = "throughput while more and more keys are held";
    charts.push({
      name: "growth-held",
      says,
      svg: lines(says, "keys held", [panel("16 further cycles at once, cycles/s", held, ({ median }) => median)]),
    });
  }
  const [one, own] = [of("one key for all"), of("distinct keys")];
  if (one.length > 0) {
    const says = "throughput and fairness with more and more processes of 4 waiters";
    const panels = [
      panel("one key for all, sections/s", one, ({ median }) => median),
      panel("distinct keys, sections/s", own, ({ median }) => median),
      panel("one key for all, fairness (Jain)", one, ({ besides }) => besides["fairness (Jain)"] ?? Number.NaN, false),
    ];
    charts.push({ name: "growth-processes", says, svg: lines(says, "processes", panels) });
  }
  return charts;
}

function linesOf(rows: readonly Row[], nameOf: (row: Row) => string, figureOf = ({ median }: Row) => median): Panel["lines"] {
  // The floor comes last, so that the others have the colours that they have where it is but a line.
  const rank = (name: string) => (name === dlock ? 0 : rows.some((row) => nameOf(row) === name && isFloor(row)) ? 2 : 1);
  const names = [...new Set(rows.map(nameOf))].sort((one, other) => rank(one) - rank(other));
  return names.map((name) => ({
    name,
    points: rows.filter((row) => nameOf(row) === name).map((row) => [row.at ?? Number.NaN, figureOf(row)] as const),
  }));
}

function works(rows: readonly Row[]): Row[][] {
  return [...new Set(rows.map(({ title }) => title))].map((title) => rows.filter((row) => row.title === title));
}

/** The suite is in the title of the chart. */
function captionOf({ title, unit, better }: Row): string {
  const work = title.replace(/^\w+(?:,)? /, "");
  return better === "more" ? work : `${work} (${unit}, less is better)`;
}
