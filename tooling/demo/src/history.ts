/** What each worker believed and did, and when, by the one clock that all processes of a machine share. */
import { openSync, readdirSync, readFileSync, writeSync } from "node:fs";
import { basename, join } from "node:path";

export type EventName =
  | "started"
  /** A lock was granted; `until` is its deadline if it is never renewed. */
  | "acquired"
  | "renewed"
  /** The ledger was asked, under the lock. */
  | "looked"
  /** The worker still held the lock, and made up its mind to post. */
  | "decided"
  /** Noted after the ledger's answer; `at` is from before the question. */
  | "posted"
  | "refused"
  /** Noted before the release is sent: from here on the worker does not claim to hold it. */
  | "released"
  | "finished"
  /** Noted by the supervisor. */
  | "killed"
  | "stopped"
  | "continued";

export interface Event {
  /** Milliseconds. */
  readonly at: number;
  readonly event: EventName;
  /** The execution. */
  readonly id?: string;
  /** In decimal: tokens outgrow the numbers of JSON. */
  readonly token?: string;
  /** Until when the worker may believe that it holds the lock. */
  readonly until?: number;
}

/** The events of each worker, in order. */
export type Histories = ReadonlyMap<string, readonly Event[]>;

/** Monotonic, and the same for all processes since the machine started. */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

export class History {
  readonly #file: number;

  constructor(folder: string, worker: string) {
    this.#file = openSync(join(folder, `${worker}.jsonl`), "a");
  }

  /** Written before it returns, so that a killed process leaves its history behind. */
  note(event: EventName, details: Partial<Event> = {}): void {
    writeSync(this.#file, `${JSON.stringify({ at: now(), event, ...details })}\n`);
  }
}

/** Every history of the folder; what the supervisor noted of a worker stands in the worker's file. */
export function readHistories(folder: string): Histories {
  const workers = readdirSync(folder).map((file) => basename(file, ".jsonl"));
  // w2 before its successor w2', and that before w10.
  workers.sort((a, b) => Number.parseInt(a.slice(1), 10) - Number.parseInt(b.slice(1), 10) || a.length - b.length);
  return new Map(workers.map((worker) => [worker, readEvents(join(folder, `${worker}.jsonl`))]));
}

function readEvents(file: string): Event[] {
  const lines = readFileSync(file, "utf8").split("\n");
  const events = lines.filter((line) => line !== "").map((line) => JSON.parse(line) as Event);
  return events.sort((a, b) => a.at - b.at);
}
