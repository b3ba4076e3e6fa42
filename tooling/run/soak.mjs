import { prepare, run } from "./prepare.mjs";

prepare();
process.exit(run(process.execPath, ["--expose-gc", "tooling/soak/dist/main.js", ...process.argv.slice(2)]));
