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
  const counts = rows.map((row) => row.rounds.length).filter((count) => count > 0);
  const rounds = [...new Set([Math.min(...counts), Math.max(...counts)])].join(" to ");
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

All who do the same work take turns within one run, each on its own connections to the same server: first each works for about
1.5 s, at 64 keys at once where the work allows, so that its code is compiled as in a service that has run for a while; then come ${rounds} rounds of
about 0.3 s each (longer where processes or held keys grow in number). Every second round goes through them backwards, and every two rounds somebody else begins, so
that a machine that grows slower or faster favours nobody. What counts is the **ratio**: a figure over that of the floor **in the same round**,
as the median of all rounds with the lowest and the highest. The figures themselves depend on the machine and on the day. The floor is the first
row of each work: the least that can be done by hand, one after another, without waiting, tokens, renewal or any word on a loss. Where several
wait for one key, nothing by hand does the work, and the ratio is to the best of the peers in that round (to one cycle after another where a
row says so). How far two come apart that do the very same is under [noise](#noise): smaller differences mean nothing.

\`p50 ms\` and \`p99 ms\` are for a whole cycle: acquire, a section, release; for a hand-over they are for what lies between the release in one
process and the grant in another. \`client CPU µs\` is the processor time of the client processes for one section, of all their threads.
Commands, statements, messages and bytes (both ways) are the server's own counts, without those of asking for them.

## What was aimed at

Where an aim is missed, [what bounds the speed](decisions/0007-what-bounds-the-speed.md) says why.

${targets(rows)}

## All figures

${parts.join("\n\n")}

## Settings

dlock is used with its defaults, everybody with the same client library and its defaults, in locks of 30 s (of 6 s where their renewal is
measured, of 10 min where they grow in number), with as much patience as the work takes.

* Peers that wait by polling do so every few milliseconds here, far more often than by default (200 ms and more): with their defaults they would
  do 5 to 100 sections a second. Those on Redis got what of 1, 2, 5, 10 and 20 ms was best for them with 16 and with 64 waiters; the others ask
  every 5 ms, lock files every 2 ms, which was chosen and not searched for.
* redlock-universal runs in its leanest mode, without the statistics and health checks that it has by default.
* MySQL's GET_LOCK and the rows by hand get a pool of 16 connections; dlock takes 4, its default.
* async-lock refuses more than 1,000 waiters by default; here it takes all.
* Who cannot do a work stands in its table with the reason.

${settings(rows)}

## Again

\`npm run bench\` runs everything in about twenty minutes, \`npm run bench -- redis --quick\` one suite with a third of the time for a round,
\`npm run bench -- redis --only "one key" --rounds 3\` single works. \`--json FILE\` keeps the raw figures, \`npm run bench -- compare A.json B.json\`
prints what a change did between two of them, and \`npm run bench -- document A.json\` writes this page from them. \`--cpu-prof FOLDER\` profiles
dlock's turns, and nobody else's, for whoever wants to know where the time goes.
`;
}
