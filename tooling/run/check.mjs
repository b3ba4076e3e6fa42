/** Everything that can be wrong without a test failing: format, lint, types of the tests, boundaries, manifests, public surface, examples. */
import { prepare, run } from "./prepare.mjs";

prepare();
// All of them, whatever the first one says: one run shows everything that is wrong.
const results = [
  run("biome", ["check", "--error-on-warnings", "."]),
  run("tsc", ["-b"]),
  run(process.execPath, ["tooling/check/dist/main.js", ...process.argv.slice(2)]),
];
process.exit(results.every((status) => status === 0) ? 0 : 1);
