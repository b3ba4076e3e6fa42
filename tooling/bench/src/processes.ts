/** Work that takes several processes: the hand-over of one key between two, and a crowd of waiters in a few. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { type Contestant, median, type Round } from "./contest.js";
import type { Meter, Recipe } from "./locker.js";
import type { Server } from "./recipes.js";

export type Order =
  | { readonly what: "turns"; readonly turns: number }
  | { readonly what: "crowd"; readonly waiters: number; readonly forMs: number };

export interface Moment {
  readonly what: "granted" | "released";
  readonly pid: number;
  /** `process.hrtime` in ms: one clock for all processes of a machine. */
  readonly at: number;
}

/** Two processes pass one key to and fro: the median time from a release to the grant of the other one, in ms. */
export async function handOver(server: Server, recipe: Recipe, url: string, turns: number): Promise<Contestant> {
  const processes = await start(2, "worker.js", [server, recipe.name, url]);
  return {
    name: recipe.name,
    settings: recipe.settings,
    async round() {
      const reports = await tell<Moment[]>(processes, { what: "turns", turns: Math.max(Math.round(turns), 10) });
      return median(gaps(reports.flat()));
    },
    close: () => stop(processes),
  };
}

/** `count` processes with `waiters` each want one key for a while: sections a second in all, how evenly, and the longest wait. */
export async function crowd(
  server: Server,
  recipe: Recipe,
  url: string,
  { count, waiters, forMs, meter }: { count: number; waiters: number; forMs: number; meter?: Meter },
): Promise<Contestant> {
  const processes = await start(count, "worker.js", [server, recipe.name, url]);
  return {
    name: recipe.name,
    settings: recipe.settings,
    async round(): Promise<Round> {
      const before = await meter?.read();
      const began = performance.now();
      const reports = await tell<{ sections: number[]; waits: number[] }>(processes, { what: "crowd", waiters, forMs });
      const tookMs = performance.now() - began;
      const sections = reports.flatMap((report) => report.sections);
      const all = sections.reduce((sum, each) => sum + each, 0);
      return {
        figure: (all / tookMs) * 1_000,
        besides: {
          "fairness (Jain)": jain(sections),
          "longest wait ms": Math.max(...reports.flatMap((report) => report.waits)),
          ...(meter === undefined || before === undefined ? {} : { [meter.name]: ((await meter.read()) - before) / all }),
        },
      };
    },
    close: () => stop(processes),
  };
}

/** Processes that have said they are ready. */
export async function start(count: number, file: string, args: readonly string[]): Promise<ChildProcess[]> {
  const path = fileURLToPath(new URL(file, import.meta.url));
  const processes = Array.from({ length: count }, () => fork(path, args));
  await Promise.all(processes.map((each) => once(each, "message")));
  return processes;
}

async function tell<T>(processes: readonly ChildProcess[], order: Order): Promise<T[]> {
  return Promise.all(
    processes.map(async (each) => {
      each.send(order);
      const answer = await Promise.race([once(each, "message"), once(each, "exit")]);
      if (typeof answer[0] === "number") throw new Error(`a process ended with code ${answer[0]}`);
      return answer[0] as T;
    }),
  );
}

export async function stop(processes: readonly ChildProcess[]): Promise<void> {
  await Promise.all(
    processes.map(async (each) => {
      if (each.exitCode !== null || each.signalCode !== null) return;
      each.disconnect();
      await once(each, "exit");
    }),
  );
}

/** From a release to the grant of the other process, in ms. */
function gaps(moments: readonly Moment[]): number[] {
  const inOrder = [...moments].sort((one, other) => one.at - other.at);
  const found: number[] = [];
  for (let i = 1; i < inOrder.length; i++) {
    const [before, after] = [inOrder[i - 1] as Moment, inOrder[i] as Moment];
    if (before.what === "released" && after.what === "granted" && before.pid !== after.pid) found.push(after.at - before.at);
  }
  if (found.length === 0) throw new Error("the key never went from one process to the other");
  return found;
}

/** Jain's index (Jain, Chiu and Hawe, 1984): 1 when all got the same, 1/n when one got everything. */
export function jain(shares: readonly number[]): number {
  const sum = shares.reduce((all, each) => all + each, 0);
  const squares = shares.reduce((all, each) => all + each * each, 0);
  return squares === 0 ? 1 : (sum * sum) / (shares.length * squares);
}
