/** `npm test`: installs, builds, sees to the servers the tests need, checks, runs every suite, and ends with the line `N passed, N failed`. */
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { must, prepare, root, run } from "./prepare.mjs";

prepare();
must(process.execPath, ["tooling/services/dist/ensure.js"]);

const failures = [];
if (run(process.execPath, ["tooling/run/check.mjs"]) !== 0) failures.push("npm run check");

const folders = ["packages", "tooling"].flatMap((group) => readdirSync(join(root, group)).map((name) => join(root, group, name)));
const reports = folders
  .filter((folder) => existsSync(join(folder, "vitest.config.ts")))
  .map((folder) => join(folder, ".results/vitest.json"));
// A stale report must not stand for a suite that could not even start; turbo restores those of suites that need not run again.
for (const report of reports) rmSync(report, { force: true });
// One suite at a time: they start real servers and measure time on few cores.
if (
  run("turbo", [
    "run",
    "test",
    "--concurrency=1",
    "--continue",
    "--log-prefix=none",
    "--output-logs=new-only",
    ...process.argv.slice(2),
  ]) !== 0
)
  failures.push("a suite");

let passed = 0;
let failed = 0;
for (const path of reports) {
  if (!existsSync(path)) {
    console.error(`no report of a test run: ${path}`);
    failed++;
    continue;
  }
  const report = JSON.parse(readFileSync(path, "utf8"));
  passed += report.numPassedTests;
  failed += report.numFailedTests;
  // A file that fails to load has no failed test of its own.
  if (!report.success && report.numFailedTests === 0) failed += Math.max(report.numFailedTestSuites, 1);
}
if (failures.includes("npm run check")) failed++;
if (failures.length > 0 && failed === 0) failed++;
for (const failure of failures) console.error(`failed: ${failure}`);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
