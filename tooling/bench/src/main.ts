/** `npm run bench [-- SUITE…] [--quick] [--json FILE]`: runs the suites, prints the table, keeps the raw figures if asked to. */
import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { type Contest, hold, type Row } from "./contest.js";
import { table } from "./report.js";
import { importContests } from "./suites/import.js";
import { memoryContests } from "./suites/memory.js";
import { sqliteContests } from "./suites/sqlite.js";

/** @param scale below 1 for a quick look: less work in a round. */
type Suite = (scale: number) => AsyncIterable<Contest> | Iterable<Contest>;

const suites: Readonly<Record<string, Suite>> = { memory: memoryContests, sqlite: sqliteContests, import: importContests };

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: "boolean", default: false }, json: { type: "string" } },
});
const unknown = positionals.filter((name) => suites[name] === undefined);
if (unknown.length > 0) {
  console.error(`unknown suite ${unknown.join(", ")}; there are ${Object.keys(suites).join(", ")}`);
  process.exit(64);
}

const rows: Row[] = [];
for (const name of positionals.length > 0 ? positionals : Object.keys(suites)) {
  for await (const contest of (suites[name] as Suite)(values.quick ? 0.1 : 1)) {
    process.stderr.write(`${name}: ${contest.title}\n`);
    rows.push(...(await hold(contest, values.quick ? 3 : 7)));
  }
}
console.log(`Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model ?? "unknown"}, ${new Date().toISOString().slice(0, 10)}\n`);
console.log(table(rows));
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(rows, undefined, 2)}\n`);
