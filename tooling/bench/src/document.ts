/** docs/benchmarks.md: the figures of one run with the machine and the versions they belong to. */
import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";
import { cpus, release, totalmem, type } from "node:os";
import type { Row } from "./contest.js";
import { settings, tables, targets } from "./report.js";

const require = createRequire(import.meta.url);

const clients = ["ioredis", "mysql2", "etcd3", "better-sqlite3"];
const peers = [
  "redlock",
  "@sesamecare-oss/redlock",
  "redis-semaphore",
  "@verrou/core",
  "redlock-universal",
  "knex",
  "async-mutex",
  "async-lock",
  "proper-lockfile",
];
const servers = { Redis: ["redis-server", "--version"], MariaDB: ["mariadbd", "--version"], etcd: ["etcd", "--version"] } as const;

/** Where and with what a run took place; kept with its raw figures. */
export interface Setting {
  readonly date: string;
  readonly machine: string;
  readonly node: string;
  readonly servers: Readonly<Record<string, string>>;
  readonly packages: Readonly<Record<string, string>>;
  readonly quick: boolean;
}

export function settingOf(quick: boolean): Setting {
  return {
    date: new Date().toISOString().slice(0, 10),
    machine: `${cpus().length} × ${cpus()[0]?.model ?? "unknown"}, ${Math.round(totalmem() / 2 ** 30)} GB, ${type()} ${release()}`,
    node: process.version,
    servers: Object.fromEntries(Object.entries(servers).map(([name, command]) => [name, serverVersion(command)])),
    packages: Object.fromEntries([...clients, ...peers].map((name) => [name, packageVersion(name)])),
    quick,
  };
}

function serverVersion([program, ...args]: readonly [string, ...string[]]): string {
  try {
    return /\d+\.\d+\.\d+/.exec(execFileSync(program, args, { encoding: "utf8" }))?.[0] ?? "unknown";
  } catch {
    // A run of one suite needs only its own server.
    return "not installed";
  }
}

/** Read from the file: not every package lets its manifest be imported. */
function packageVersion(name: string): string {
  for (const folder of require.resolve.paths(name) ?? []) {
    try {
      return (require(`${folder}/${name}/package.json`) as { version: string }).version;
    } catch {
      // Not in this folder; the next one up.
    }
  }
  return "unknown";
}

export function documentOf({ date, machine, node, servers, packages, quick }: Setting, rows: readonly Row[]): string {
  const list = (versions: Readonly<Record<string, string>>) =>
    Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(", ");
  const suites = [...new Set(rows.map(suiteOf))];
  const parts = suites.map((suite) => `### ${suite}\n\n${tables(rows.filter((row) => suiteOf(row) === suite))}`);
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

function suiteOf({ title }: Row): string {
  return title.split(/[ ,]/)[0] as string;
}
