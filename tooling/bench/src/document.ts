/** docs/benchmarks.md and its pictures: the figures of a run with what they belong to. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Chart, chartsOf } from "./charts.js";
import type { Row } from "./contest.js";
import { settings, suiteOf, tables, targets } from "./report.js";
import type { Setting } from "./setting.js";

const document = fileURLToPath(new URL("../../../docs/benchmarks.md", import.meta.url));
const pictures = fileURLToPath(new URL("../../../docs/benchmarks", import.meta.url));

/** Writes the document, and its pictures beside it instead of those of another run. */
export function write(setting: Setting, rows: readonly Row[]): void {
  const charts = chartsOf(rows);
  rmSync(pictures, { recursive: true, force: true });
  mkdirSync(pictures, { recursive: true });
  for (const { name, svg } of charts) writeFileSync(join(pictures, `${name}.svg`), svg);
  writeFileSync(document, documentOf(setting, rows, charts));
}

function documentOf({ date, machine, node, servers, packages, quick }: Setting, rows: readonly Row[], charts: readonly Chart[]): string {
  const list = (versions: Readonly<Record<string, string>>) =>
    Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(", ");
  const suites = [...new Set(rows.map(suiteOf))];
  const picturesOf = (suite: string) =>
    charts
      .filter(({ name }) => name === suite || name.startsWith(`${suite}-`))
      .map(({ name, says }) => `![${says}](benchmarks/${name}.svg)\n\n`)
      .join("");
  const parts = suites.map((suite) => `### ${suite}\n\n${picturesOf(suite)}${tables(rows.filter((row) => suiteOf(row) === suite))}`);
  return `# Benchmarks

Written by \`npm run bench -- --write-docs\` on ${date}${quick ? " (a quick look, with little work in a round)" : ""}; do not edit by hand.

* Machine: ${machine}; the servers run on it too, beside the client.
* Node ${node}; ${list(servers)}.
* ${list(packages)}.

## How to read it

All who do the same work take turns within one run, round after round, each on its own connections to the same server, after a round to warm
up; nobody always follows the same neighbour. What counts is the **ratio**: a figure over that of the floor **in the same round**, as the
median of all rounds with the lowest and the highest. The figures themselves depend on the machine and on the day. The floor is the first
row of each work: the least that can be done by hand, one after another, without waiting, tokens, renewal or any word on a loss. Where several
wait for one key, nothing by hand does the work, and the ratio is to the best of the peers in that round (to one cycle after another where a
row says so).

\`p50 ms\` and \`p99 ms\` are for a whole cycle: acquire, an empty section, release. \`client CPU µs\` is the processor time of the client process
for one cycle, of all its threads. Commands, statements and messages are the server's own counts.

## What was aimed at

${targets(rows)}

## All figures

${parts.join("\n\n")}

## Settings

Locks of 30 s, of 6 s where their renewal is measured. Peers that poll do so every few milliseconds here, far more often than by default; these
intervals were chosen in favour of their throughput, not searched for. dlock is used with its defaults.

${settings(rows)}

## Again

\`npm run bench\` runs everything, \`npm run bench -- redis --quick\` one suite with a fifth of the work. \`--json FILE\` keeps the raw figures, and
\`npm run bench -- compare A.json B.json\` prints what a change did between two of them.
`;
}
