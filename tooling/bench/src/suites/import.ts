/** What it costs to load @dlock/core, against a bare Node. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Contest, Size } from "../contest.js";

export function* importContests(size: Size): Iterable<Contest> {
  // A start takes a good part of a usual round.
  const forMs = 3 * size.forMs;
  const core = fileURLToPath(import.meta.resolve("@dlock/core"));
  yield {
    title: "import of @dlock/core",
    unit: "ms for a start of node",
    better: "less",
    contestants: () => [
      { name: "node -e 0", round: async () => start(["-e", "0"], forMs) },
      {
        name: "node, importing @dlock/core",
        round: async () => start(["--input-type=module", "-e", `import ${JSON.stringify(core)}`], forMs),
      },
      { name: "node, an empty module", round: async () => start(["--input-type=module", "-e", "0"], forMs) },
    ],
    targets: [{ name: "node, importing @dlock/core", as: "difference", atMost: 8 }],
  };
}

/** The mean time of a start, of as many as there is time for. */
function start(args: readonly string[], forMs: number): number {
  const begin = performance.now();
  let starts = 0;
  do {
    const { status } = spawnSync(process.execPath, args);
    if (status !== 0) throw new Error(`node ${args.join(" ")} failed`);
    starts++;
  } while (performance.now() - begin < forMs);
  return (performance.now() - begin) / starts;
}
