import { prepare, run } from "./prepare.mjs";

prepare();
process.exit(run(process.execPath, ["tooling/bench/dist/main.js", ...process.argv.slice(2)]));
