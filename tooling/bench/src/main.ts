/**
 * `npm run bench [-- SUITE…] [--only TEXT] [--rounds N] [--quick] [--json FILE] [--cpu-prof FOLDER] [--write-docs]`: runs the suites, or of them
 * the work whose title has the text in it; prints the table; keeps the raw figures, profiles dlock or writes the document if asked to.
 * `npm run bench -- compare A.json B.json`: what changed between two runs. `npm run bench -- document A.json…`: the document from runs that were
 * kept, where the later one has what is in both.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { type Contest, hold, type Row, type Size } from "./contest.js";
import { Profiler } from "./profile.js";
import { comparison, tables, targets } from "./report.js";
import { type Setting, settingOf } from "./setting.js";

type Suite = (size: Size) => AsyncIterable<Contest> | Iterable<Contest>;

const full: Size = { forMs: 300, held: 10_000 };
const quickly: Size = { forMs: 100, held: 2_000 };

/** Not part of a quick look at everything: holding a hundred thousand locks takes its time. */
const slow = ["growth"];

/** Loaded when it is its turn: one suite's clients are no business of another's. */
const suites: Readonly<Record<string, () => Promise<Suite>>> = {
  noise: async () => (await import("./suites/noise.js")).noiseContests,
  memory: async () => (await import("./suites/memory.js")).memoryContests,
  sqlite: async () => (await import("./suites/sqlite.js")).sqliteContests,
  redis: async () => (await import("./suites/redis.js")).redisContests,
  mysql: async () => (await import("./suites/mysql.js")).mysqlContests,
  etcd: async () => (await import("./suites/etcd.js")).etcdContests,
  growth: async () => (await import("./suites/growth.js")).growthContests,
  import: async () => (await import("./suites/import.js")).importContests,
};

interface Run {
  readonly setting: Setting;
  readonly rows: readonly Row[];
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: "string", multiple: true, default: [] },
    rounds: { type: "string" },
    quick: { type: "boolean", default: false },
    json: { type: "string" },
    "cpu-prof": { type: "string" },
    "write-docs": { type: "boolean", default: false },
  },
});
const [command, ...files] = positionals;
if (command === "compare") compare(files);
else if (command === "document") await writeDocument(merged(files));
else await run();

async function run(): Promise<void> {
  const unknown = positionals.filter((name) => suites[name] === undefined);
  if (unknown.length > 0) fail(`unknown suite ${unknown.join(", ")}; there are ${Object.keys(suites).join(", ")}, and compare, document`);
  const { quick, only } = values;
  const rounds = Number(values.rounds ?? (quick ? 4 : 8));
  if (!Number.isInteger(rounds) || rounds < 1) fail(`--rounds takes a whole number, not ${JSON.stringify(values.rounds)}`);
  const folder = values["cpu-prof"];
  const profiler = folder === undefined ? undefined : new Profiler(folder);
  const rows: Row[] = [];
  for (const name of positionals.length > 0 ? positionals : Object.keys(suites).filter((each) => !(quick && slow.includes(each)))) {
    const suite = await (suites[name] as () => Promise<Suite>)();
    for await (const contest of suite(quick ? quickly : full)) {
      if (only.length > 0 && !only.some((text) => contest.title.toLowerCase().includes(text.toLowerCase()))) continue;
      const start = performance.now();
      process.stderr.write(contest.title);
      rows.push(...(await hold(contest, rounds, profiler)));
      process.stderr.write(` (${Math.round((performance.now() - start) / 1_000)} s)\n`);
    }
  }
  if (rows.length === 0) fail(`no work has ${only.map((text) => JSON.stringify(text)).join(" or ")} in its title`);
  const setting = settingOf(quick);
  console.log(`Node ${setting.node}, ${setting.machine}, ${setting.date}\n`);
  console.log(`${tables(rows)}\n\n${targets(rows)}`);
  if (profiler !== undefined) console.log(`\ndlock's turns, by the time spent in a function itself:\n${profiler.summary()}`);
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify({ setting, rows } satisfies Run, undefined, 2)}\n`);
  if (values["write-docs"]) await writeDocument({ setting, rows });
}

function compare(files: readonly string[]): void {
  if (files.length !== 2) fail("compare takes two files that --json has written");
  const [before, after] = files.map(read) as [Run, Run];
  console.log(comparison(before.rows, after.rows));
}

function merged(files: readonly string[]): Run {
  if (files.length === 0) fail("document takes files that --json has written");
  const runs = files.map(read);
  const titles = new Set(runs.flatMap(({ rows }) => rows.map(({ title }) => title)));
  const latest = (title: string) => runs.map(({ rows }) => rows.filter((row) => row.title === title)).findLast((rows) => rows.length > 0);
  return { setting: (runs.at(-1) as Run).setting, rows: [...titles].flatMap((title) => latest(title) ?? []) };
}

/** The drawing library is loaded for those who want pictures. */
async function writeDocument({ setting, rows }: Run): Promise<void> {
  const { write } = await import("./document.js");
  write(setting, rows);
}

function read(file: string): Run {
  return JSON.parse(readFileSync(file, "utf8"));
}

function fail(why: string): never {
  console.error(why);
  process.exit(64);
}
