/**
 * A crowd in one process: so many locks held, so many waiting, for one key or each for its own; what they weigh, and whether anything of them
 * stays when they are gone. `node --expose-gc dist/crowd.js URL COUNT SCENE` prints what it found as JSON.
 */
import { getEventListeners } from "node:events";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { createLockProviderFromUrl, type Lock, type LockProvider } from "@dlock/core";

export interface CrowdReport {
  readonly scene: string;
  readonly count: number;
  /** What each of the crowd weighs while it is there, and what is left of it afterwards, in bytes. */
  readonly bytesEach: number;
  readonly bytesLeftEach: number;
  readonly loopDelayP99Ms: number;
  /** How many of the crowd ended as they should. */
  readonly ended: number;
  readonly active: number;
  readonly waiting: number;
  readonly listeners: number;
  readonly warnings: readonly string[];
}

interface Crowd {
  readonly locks: LockProvider;
  /** Another provider over the same backend. */
  readonly other: LockProvider;
  readonly count: number;
  /** One for all waits. */
  readonly controller: AbortController;
}

/** A crowd that has come together: how it ends, and how many of it did as they should. */
type Scene = (crowd: Crowd) => Promise<() => Promise<number>>;

const waitMs = 3_600_000;
/** Long enough for no renewal to be due meanwhile: what renewing costs is another figure. */
const ttlMs = 3_600_000;
const keyOf = (index: number) => `crowd ${index}`;

async function hold(locks: LockProvider, count: number): Promise<Lock[]> {
  const held: Lock[] = [];
  // In groups, as a server would be asked; the crowd is those who hold, not those who ask.
  for (let from = 0; from < count; from += 1_000)
    held.push(
      ...(await Promise.all(Array.from({ length: Math.min(1_000, count - from) }, (_, i) => locks.lock(keyOf(from + i), { ttlMs })))),
    );
  return held;
}

async function release(held: readonly Lock[]): Promise<number> {
  const released = await Promise.all(held.map((lock) => lock.unlock()));
  return released.filter(Boolean).length;
}

/** Waits for a key each; every one of them gives it back as soon as it has it. */
function wait({ locks, count, controller: { signal } }: Crowd, keyAt: (index: number) => string): Promise<PromiseSettledResult<boolean>[]> {
  const options = { waitMs, ttlMs, signal };
  return Promise.allSettled(Array.from({ length: count }, (_, i) => locks.lock(keyAt(i), options).then((lock) => lock.unlock())));
}

async function served(waits: Promise<PromiseSettledResult<boolean>[]>): Promise<number> {
  return (await waits).filter((result) => result.status === "fulfilled" && result.value).length;
}

async function rejected(waits: Promise<PromiseSettledResult<boolean>[]>, how: (reason: unknown) => boolean): Promise<number> {
  return (await waits).filter((result) => result.status === "rejected" && how(result.reason)).length;
}

export const scenes: Readonly<Record<string, Scene>> = {
  "held, then released": async ({ locks, count }) => {
    const held = await hold(locks, count);
    return () => release(held);
  },
  "waiting for one key, then served": async (crowd) => {
    const first = await crowd.locks.lock(keyOf(0), { ttlMs });
    const waits = wait(crowd, () => keyOf(0));
    return async () => {
      await first.unlock();
      return served(waits);
    };
  },
  "waiting for one key, then aborted by one signal": async (crowd) => {
    const first = await crowd.locks.lock(keyOf(0), { ttlMs });
    const waits = wait(crowd, () => keyOf(0));
    return async () => {
      crowd.controller.abort("enough");
      const count = await rejected(waits, (reason) => reason === "enough");
      await first.unlock();
      return count;
    };
  },
  "waiting for a key each, then served": async (crowd) => {
    const held = await hold(crowd.other, crowd.count);
    const waits = wait(crowd, keyOf);
    return async () => {
      await release(held);
      return served(waits);
    };
  },
  "waiting for a key each, then aborted by one signal": async (crowd) => {
    const held = await hold(crowd.other, crowd.count);
    const waits = wait(crowd, keyOf);
    return async () => {
      crowd.controller.abort("enough");
      const count = await rejected(waits, (reason) => reason === "enough");
      await release(held);
      return count;
    };
  },
};

async function heapAfterCollection(): Promise<number> {
  const { gc } = globalThis;
  if (gc === undefined) throw new Error("a crowd needs node --expose-gc");
  for (let round = 0; round < 4; round++) {
    gc();
    await sleep(20);
  }
  gc();
  return process.memoryUsage().heapUsed;
}

async function run(url: string, count: number, name: string): Promise<CrowdReport> {
  const scene = scenes[name];
  if (scene === undefined) throw new Error(`no scene "${name}": there are ${Object.keys(scenes).join(", ")}`);
  const warnings: string[] = [];
  process.on("warning", ({ name: kind, message }) => warnings.push(`${kind}: ${message}`));
  const [locks, other] = [await createLockProviderFromUrl(url), await createLockProviderFromUrl(url)];
  // A small crowd first, so that code and tables have their sizes.
  await (await scene({ locks, other, count: Math.min(count, 1_000), controller: new AbortController() }))();
  const before = await heapAfterCollection();
  const controller = new AbortController();
  const delay = monitorEventLoopDelay({ resolution: 10 });
  delay.enable();
  // In a frame of its own, so that nothing here holds what was the crowd's.
  const { crowded, ended } = await (async () => {
    const end = await scene({ locks, other, count, controller });
    return { crowded: await heapAfterCollection(), ended: await end() };
  })();
  delay.disable();
  const after = await heapAfterCollection();
  const all = [locks.stats(), other.stats()];
  const report: CrowdReport = {
    scene: name,
    count,
    bytesEach: Math.round((crowded - before) / count),
    bytesLeftEach: Math.round((after - before) / count),
    loopDelayP99Ms: Math.round(delay.percentile(99) / 1e6),
    ended,
    active: all.reduce((sum, { active }) => sum + active, 0),
    waiting: all.reduce((sum, { waiting }) => sum + waiting, 0),
    listeners: getEventListeners(controller.signal, "abort").length,
    warnings,
  };
  await Promise.all([locks.close(), other.close()]);
  return report;
}

const [url, count, scene] = process.argv.slice(2);
if (url === undefined || count === undefined || scene === undefined) throw new Error("usage: crowd URL COUNT SCENE");
console.log(JSON.stringify(await run(url, Number(count), scene)));
