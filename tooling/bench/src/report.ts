/** Rows as people read them, and what changed between two runs. */
import type { Judgement, Row } from "./contest.js";

/** A table for each work, under its title: everybody's figures, and why there are none. */
export function tables(rows: readonly Row[]): string {
  return [...new Set(rows.map(({ title }) => title))]
    .map((title) => `#### ${title}\n\n${table(rows.filter((row) => row.title === title))}`)
    .join("\n\n");
}

function table(rows: readonly Row[]): string {
  const besides = [...new Set(rows.flatMap((row) => Object.keys(row.besides)))];
  const header = ["who", rows[0]?.unit ?? "", "ratio", "min – max", ...besides];
  const lines = rows.map((row) => {
    if (row.absent !== undefined) return [row.name, "", "", row.absent, ...besides.map(() => "")];
    return [
      row.name,
      figure(row.median),
      row.ratio.toFixed(2),
      `${row.lowest.toFixed(2)} – ${row.highest.toFixed(2)}`,
      ...besides.map((name) => (row.besides[name] === undefined ? "" : figure(row.besides[name]))),
    ];
  });
  return markdown(header, lines);
}

/** Only what was aimed at, and whether it was reached. */
export function targets(rows: readonly Row[]): string {
  const lines = rows.flatMap(({ title, unit, judgements }) =>
    judgements.map((each) => [
      title,
      each.of === unit ? "" : each.of,
      aim(each),
      `${each.as === "difference" && each.measured >= 0 ? "+" : ""}${figure(each.measured)}`,
      each.reached ? "reached" : "**missed**",
    ]),
  );
  return markdown(["work", "of", "aim", "measured", ""], lines);
}

/** How everybody was set up. */
export function settings(rows: readonly Row[]): string {
  const said = new Map<string, string>();
  for (const row of rows) if (row.settings !== undefined) said.set(`${row.title.split(",")[0]}: ${row.name}: ${row.settings}`, "");
  return markdown(
    ["suite", "who", "settings"],
    [...said.keys()].map((line) => line.split(": ")).map(([suite = "", name = "", ...rest]) => [suite, name, rest.join(": ")]),
  );
}

/** What the second run did to the first one's ratios to the floor: the figures themselves depend on the day. */
export function comparison(before: readonly Row[], after: readonly Row[]): string {
  const lines = after.flatMap((row) => {
    const old = before.find(({ title, name }) => title === row.title && name === row.name);
    if (old === undefined || row.absent !== undefined || old.absent !== undefined || isFloor(row)) return [];
    const change = row.ratio / old.ratio - 1;
    // Rounds of one run differ as well: only what left their range is called a change.
    const sure = row.lowest > old.highest || row.highest < old.lowest;
    const gain = row.better === "more" ? change : -change;
    const verdict = sure ? (gain > 0 ? "better" : "worse") : "within the spread";
    return [
      [row.title, row.name, old.ratio.toFixed(2), row.ratio.toFixed(2), `${change >= 0 ? "+" : ""}${(change * 100).toFixed(0)} %`, verdict],
    ];
  });
  return markdown(["work", "who", "ratio before", "after", "change", ""], lines);
}

/** Its ratio is to itself. */
export function isFloor({ lowest, highest }: Row): boolean {
  return lowest === 1 && highest === 1;
}

function aim({ as, atLeast, atMost }: Judgement): string {
  const bound = atLeast === undefined ? `at most ${as === "difference" ? "+" : ""}${atMost}` : `at least ${atLeast}`;
  return as === "ratio" ? `${bound} × the floor` : bound;
}

function markdown(header: readonly string[], lines: readonly (readonly string[])[]): string {
  return [header, header.map(() => "---"), ...lines].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

function figure(value: number): string {
  if (Math.abs(value) >= 1_000) return Math.round(value).toLocaleString("en-US");
  return Number(value.toPrecision(3)).toString();
}

export function suiteOf({ title }: Row): string {
  return title.split(/[ ,]/)[0] as string;
}
