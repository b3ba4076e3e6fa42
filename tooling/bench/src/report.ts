/** Rows as people read them. */
import type { Row } from "./contest.js";

export function table(rows: readonly Row[]): string {
  const header = ["work", "who", "median", "ratio to the floor", "min – max", "target"];
  const lines = rows.map((row, index) => [
    index > 0 && rows[index - 1]?.title === row.title ? "" : row.title,
    row.name,
    `${figure(row.median)} ${row.unit}`,
    row.ratio.toFixed(2),
    `${row.lowest.toFixed(2)} – ${row.highest.toFixed(2)}`,
    row.target === undefined ? "" : `${row.target} ${row.reached === true ? "reached" : "missed"}`,
  ]);
  return [header, header.map(() => "---"), ...lines].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

function figure(value: number): string {
  if (value >= 1_000) return Math.round(value).toLocaleString("en-US");
  return value.toPrecision(3);
}
