/** Everything that can be wrong without a test failing: format, lint, types of the tests, boundaries, manifests, public surface, examples. */
import { must, prepare, run } from "./prepare.mjs";

prepare();
must("biome", ["check", "."]);
must("tsc", ["-b"]);
process.exit(run(process.execPath, ["tooling/check/dist/main.js", ...process.argv.slice(2)]));
