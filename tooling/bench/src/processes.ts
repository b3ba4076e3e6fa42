/** Work that takes several processes: the hand-over of one key between two, and a crowd of waiters in a few. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { type Contestant, quantile, type Round } from "./contest.js";
import type { Recipe } from "./locker.js";
import type { Server } from "./recipes.js";
import { clientCpu, each, latency, type Meter, metered } from "./work.js";

export type Order =
  | { readonly what: "turns"; readonly forMs: number; readonly paced: boolean }
  | { readonly what: "crowd"; readonly waiters: number; readonly forMs: number; readonly keys: Keys };

/** Whether all waiters of all processes want one key, or each has its own. */
export type Keys = "one" | "own";

/** What a process says of its work, with the microseconds of CPU time that it took. */
export interface Turns {
  readonly moments: readonly Moment[];
  readonly cpu: number;
}
export interface Crowd {
  /** How many sections each waiter had. */
  readonly sections: readonly number[];
  /** What whole cycles took, in ms. */
  readonly cycles: readonly number[];
  readonly longestWait: number;
  readonly tookMs: number;
  readonly cpu: number;
}

export interface Moment {
  readonly what: "granted" | "released";
  readonly pid: number;
  /** `process.hrtime` in ms: one clock for all processes of a machine. */
  readonly at: number;
}

/** Two processes pass one key to and fro: the median time from a release to the grant of the other one, in ms. */
export async function handOver(server: Server, recipe: Recipe, url: string, forMs: number, meter?: Meter): Promise<Contestant> {
  const processes = await startWorkers(2, server, recipe, url);
  return {
    name: recipe.name,
    settings: recipe.settings,
    async round(): Promise<Round> {
      const { done, counts } = await metered(meter, () => tell<Turns>(processes, { what: "turns", forMs, paced: true }));
      const waits = gaps(done.flatMap(({ moments }) => moments));
      const sections = done.reduce((sum, { moments }) => sum + moments.length / 2, 0);
      return {
        figure: quantile(waits, 0.5),
        besides: { "p99 ms": quantile(waits, 0.99), [clientCpu]: cpuOf(done) / sections, ...each(counts, sections) },
      };
    },
    // Without pauses, so that there are enough of them.
    warmUp: () => tell<Turns>(processes, { what: "turns", forMs: 3 * forMs, paced: false }),
    close: () => stop(processes),
  };
}

/** `count` processes with `waiters` each want one key for a while: sections a second in all, how evenly, and the longest wait. */
export async function crowd(server: Server, recipe: Recipe, url: string, work: CrowdWork & { count: number }): Promise<Contestant> {
  const processes = await startWorkers(work.count, server, recipe, url);
  return {
    name: recipe.name,
    settings: recipe.settings,
    round: () => crowded(processes, work),
    close: () => stop(processes),
  };
}

export interface CrowdWork {
  readonly waiters: number;
  readonly forMs: number;
  readonly keys?: Keys;
  readonly meter?: Meter;
}

/** One round of a crowd. */
export async function crowded(processes: readonly ChildProcess[], { waiters, forMs, keys = "one", meter }: CrowdWork): Promise<Round> {
  const { done, counts } = await metered(meter, () => tell<Crowd>(processes, { what: "crowd", waiters, forMs, keys }));
  const sections = done.flatMap((report) => report.sections);
  const all = total(sections);
  return {
    figure: (all / Math.max(...done.map(({ tookMs }) => tookMs))) * 1_000,
    besides: {
      "fairness (Jain)": jain(sections),
      "longest wait ms": Math.max(...done.map(({ longestWait }) => longestWait)),
      ...latency(done.flatMap(({ cycles }) => cycles)),
      [clientCpu]: cpuOf(done) / all,
      ...each(counts, all),
    },
    shares: done.map((report) => total(report.sections) / all),
  };
}

function startWorkers(count: number, server: Server, recipe: Recipe, url: string): Promise<ChildProcess[]> {
  return start(count, "worker.js", [server, recipe.name, url]);
}

/** Processes that have said they are ready. */
export async function start(
  count: number,
  file: string,
  args: readonly string[],
  nodeOptions: readonly string[] = [],
): Promise<ChildProcess[]> {
  const path = fileURLToPath(new URL(file, import.meta.url));
  const processes = Array.from({ length: count }, () => fork(path, args, { execArgv: [...nodeOptions] }));
  await Promise.all(processes.map(answerOf));
  return processes;
}

/** What each of them answers. When one fails they all end: what the others still do would be in the way of whose turn is next. */
export async function tell<T>(processes: readonly ChildProcess[], order: object): Promise<T[]> {
  try {
    return await Promise.all(
      processes.map((each) => {
        each.send(order);
        return answerOf(each) as Promise<T>;
      }),
    );
  } catch (error) {
    for (const each of processes) each.kill("SIGKILL");
    throw error;
  }
}

/** The next message of a process.
 *
 * @throws Error when it ends without one. */
export function answerOf(process: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const ended = (code: number | null, signal: string | null) => reject(new Error(`a process ended with ${code ?? signal}`));
    process.once("exit", ended);
    process.once("message", (answer) => {
      process.off("exit", ended);
      resolve(answer);
    });
  });
}

export async function stop(processes: readonly ChildProcess[]): Promise<void> {
  await Promise.all(
    processes.map(async (each) => {
      if (each.exitCode !== null || each.signalCode !== null) return;
      if (each.connected) each.disconnect();
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
  const sum = total(shares);
  const squares = shares.reduce((all, each) => all + each * each, 0);
  return squares === 0 ? 1 : (sum * sum) / (shares.length * squares);
}

function total(numbers: readonly number[]): number {
  return numbers.reduce((sum, each) => sum + each, 0);
}

function cpuOf(reports: readonly { readonly cpu: number }[]): number {
  return total(reports.map(({ cpu }) => cpu));
}
