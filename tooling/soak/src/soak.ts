/** The run: churn at a rate, and now and then a rest in which everything is collected and the heap is read. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Churn } from "./churn.js";
import type { Sample } from "./trend.js";

export interface SoakOptions {
  readonly durationMs: number;
  readonly sampleEveryMs: number;
  /** Operations begun in a second. */
  readonly rate: number;
  /** Ends the run early. */
  readonly signal: AbortSignal;
  onSample?(sample: Sample & { readonly atMs: number; readonly rssBytes: number }): void;
}

/** Operations begin in groups, so often. */
const tickMs = 50;
/** A backend that cannot keep up gets no more than so many at a time. */
const mostRunning = 500;

/** @returns the samples; the first is taken before anything has warmed up. @throws what an operation failed with. */
export async function soak(churn: Churn, { durationMs, sampleEveryMs, rate, signal, onSample }: SoakOptions): Promise<Sample[]> {
  const samples: Sample[] = [];
  const startedAt = performance.now();
  const elapsed = () => performance.now() - startedAt;
  await churn.begin();
  try {
    for (let sampleAt = sampleEveryMs; elapsed() < durationMs && !signal.aborted; sampleAt = elapsed() + sampleEveryMs) {
      for (let tick = 0; elapsed() < sampleAt && !signal.aborted; tick++) {
        const due = Math.floor(((tick + 1) * rate * tickMs) / 1_000) - Math.floor((tick * rate * tickMs) / 1_000);
        for (let i = 0; i < due && churn.running < mostRunning; i++) churn.next();
        await sleep(tickMs);
      }
      await churn.rest(collect);
      const { heapUsed, external, rss } = await collected();
      const sample = { operations: churn.operations, heapBytes: heapUsed + external };
      samples.push(sample);
      onSample?.({ ...sample, atMs: elapsed(), rssBytes: rss });
    }
  } finally {
    await churn.end();
  }
  return samples;
}

function collect(): void {
  const { gc } = globalThis;
  if (gc === undefined) throw new Error("a soak needs node --expose-gc");
  gc();
}

/** Several times: what a WeakRef or a finalizer held is free only in a later turn. */
async function collected(): Promise<NodeJS.MemoryUsage> {
  for (let round = 0; round < 4; round++) {
    collect();
    await sleep(20);
  }
  collect();
  return process.memoryUsage();
}
