/** What it costs to load @dlock/core, against a bare Node. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Contest } from "../contest.js";

export function* importContests(scale: number): Iterable<Contest> {
  const starts = Math.max(Math.round(20 * scale), 3);
  const core = fileURLToPath(import.meta.resolve("@dlock/core"));
  yield {
    title: "import of @dlock/core",
    unit: "ms for a start of node",
    better: "less",
    contestants: () => [
      { name: "node -e 0", round: async () => start(["-e", "0"], starts) },
      {
        name: "node, importing @dlock/core",
        round: async () => start(["--input-type=module", "-e", `import ${JSON.stringify(core)}`], starts),
      },
      { name: "node, an empty module", round: async () => start(["--input-type=module", "-e", "0"], starts) },
    ],
    targets: [{ name: "node, importing @dlock/core", as: "difference", atMost: 8 }],
  };
}

/** The mean time of a start. */
function start(args: readonly string[], starts: number): number {
  const begin = performance.now();
  for (let i = 0; i < starts; i++) {
    const { status } = spawnSync(process.execPath, args);
    if (status !== 0) throw new Error(`node ${args.join(" ")} failed`);
  }
  return (performance.now() - begin) / starts;
}
