/** What a cycle costs the process that runs it, in counts: nearly the same on any machine and under any load. */
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { answerOf } from "./processes.js";

export interface Cost {
  /** Of the heap, allocated for one cycle. */
  readonly bytes: number;
  /** Set for one cycle. */
  readonly timers: number;
}

/**
 * So large a nursery that nothing is collected while it counts; and no optimizing compiler, which leaves allocations out, but not in every run
 * the same ones at the same time. What is counted is hence more than what a warm process allocates.
 */
const options = ["--expose-gc", "--max-semi-space-size=256", "--min-semi-space-size=256", "--no-opt"];

/** Counts in a process of its own, which runs what was built. */
export async function costOfCycle(server: string, url: string, { cycles, tasks }: { cycles: number; tasks: number }): Promise<Cost> {
  const worker = fileURLToPath(new URL("../dist/cycle-worker.js", import.meta.url));
  return (await answerOf(fork(worker, [server, url, String(cycles), String(tasks)], { execArgv: options }))) as Cost;
}
