/** Doing work for a while: how fast, with which latencies, at what cost to this process and to the server. */
import { type Contestant, quantile, type Round } from "./contest.js";

export type Counts = Readonly<Record<string, number>>;

/** What a server counts, such as commands and bytes; the difference of two readings belongs to what happened in between. */
export interface Meter {
  read(): Promise<Counts>;
}

export interface Work {
  /** How many go on at once. */
  readonly tasks: number;
  /** How long a round lasts; what has begun by then is finished. */
  readonly forMs: number;
  /** The clock is looked at in every so many-th cycle only, where looking costs a part of a cycle itself; 1 by default. */
  readonly timeEvery?: number;
  readonly meter?: Meter | undefined;
}

/** A round of `run` again and again: cycles a second, with the latency, client CPU time and server counts of one. */
export async function repeated({ tasks, forMs, timeEvery = 1, meter }: Work, run: (unit: number) => Promise<unknown>): Promise<Round> {
  const latencies: number[] = [];
  const { done, counts } = await metered(meter, async () => {
    const cpu = process.cpuUsage();
    const start = performance.now();
    const units = await during(tasks, start + forMs, timeEvery, async (unit) => {
      if (unit % timeEvery !== 0) return run(unit);
      const from = performance.now();
      await run(unit);
      latencies.push(performance.now() - from);
      return undefined;
    });
    return { units, elapsedMs: performance.now() - start, cpu: process.cpuUsage(cpu) };
  });
  const { units, elapsedMs, cpu } = done;
  return {
    figure: (units / elapsedMs) * 1_000,
    besides: { ...latency(latencies), [clientCpu]: (cpu.user + cpu.system) / units, ...each(counts, units) },
  };
}

/** V8 compiles the whole of a cycle only after some thousands of them, which one at a time might not see in a whole run. */
const warmTasks = 64;

/**
 * Rounds of `run`, and to warm up five in one.
 *
 * @param crowded the warm-up has at least 64 at once: where they are not in each other's way.
 */
export function rounds(work: Work, run: (unit: number) => Promise<unknown>, crowded = false): Pick<Contestant, "round" | "warmUp"> {
  const { tasks, forMs, meter: _, ...rest } = work;
  const warm = { ...rest, tasks: crowded ? Math.max(tasks, warmTasks) : tasks, forMs: 5 * forMs };
  return { round: () => repeated(work, run), warmUp: () => repeated(warm, run) };
}

export const clientCpu = "client CPU µs";

export function latency(latencies: readonly number[]): Counts {
  return { "p50 ms": quantile(latencies, 0.5), "p99 ms": quantile(latencies, 0.99) };
}

/** What the server counted while `work` went on. A reading leaves traces of its own, which a first one shows. */
export async function metered<T>(meter: Meter | undefined, work: () => Promise<T>): Promise<{ done: T; counts: Counts }> {
  if (meter === undefined) return { done: await work(), counts: {} };
  const first = await meter.read();
  const before = await meter.read();
  const done = await work();
  const after = await meter.read();
  const names = Object.keys(after);
  const count = (name: string) => {
    const [begun, read, ended] = [first, before, after].map((counts) => counts[name] as number) as [number, number, number];
    return Math.max(ended - read - (read - begun), 0);
  };
  return { done, counts: Object.fromEntries(names.map((name) => [name, count(name)])) };
}

/** Counts of many sections as those of one: `"commands a section"`. */
export function each(counts: Counts, units: number): Counts {
  return Object.fromEntries(Object.entries(counts).map(([name, count]) => [`${name} a section`, count / units]));
}

/** `tasks` at once run `run` until the clock, seen every so many units, says `end`; returns how often they did. */
async function during(tasks: number, end: number, lookEvery: number, run: (unit: number) => Promise<unknown>): Promise<number> {
  let next = 0;
  let over = false;
  const worker = async () => {
    while (!over) {
      const unit = next++;
      await run(unit);
      // A timer would never have its turn among those that run on microtasks alone.
      if (unit % lookEvery === 0) over ||= performance.now() >= end;
    }
  };
  await Promise.all(Array.from({ length: tasks }, worker));
  return next;
}

/** `tasks` at once share `units` runs of `run`. */
export async function together(tasks: number, units: number, run: (unit: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < units) await run(next++);
  };
  await Promise.all(Array.from({ length: tasks }, worker));
}
