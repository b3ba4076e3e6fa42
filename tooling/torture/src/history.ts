/** What everyone did and believed, and when, by the one clock that all processes of a machine share: one JSON object a line. */
import { closeSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";

export type Mode = "exclusive" | "shared";

/**
 * `invoke` stands before an operation; `ok`, `fail` (certainly not done) or `info` (nobody knows) end it. An operation without an end is one
 * that nobody knows of either: its process died.
 */
export interface Event {
  /** Milliseconds since the machine started. */
  readonly at: number;
  /** The process; `"supervisor"` for faults. */
  readonly process: string;
  readonly type: "invoke" | "ok" | "fail" | "info" | "renewed" | "held" | "lost" | "fault";
  readonly op?: "lock" | "unlock" | "read" | "write";
  /** Names the operation within its process. */
  readonly id?: number;
  readonly key?: string;
  readonly mode?: Mode;
  readonly limit?: number;
  /** With `invoke` of a lock. */
  readonly ttlMs?: number;
  /** In decimal: tokens outgrow the numbers of JSON. */
  readonly token?: string;
  /** With `ok` of a lock, with `renewed`, and with `held` (it looked, and believes it): until when the process may believe that it holds it. */
  readonly until?: number;
  /** What was read or written. */
  readonly value?: string;
  /** Of a fault: what, and to whom. */
  readonly fault?: FaultName;
  readonly target?: string;
  /** Of a clock: by how many ms it was stepped. */
  readonly stepMs?: number;
  readonly error?: string;
}

export type FaultName =
  | "kill"
  | "stop"
  | "continue"
  | "cut off"
  | "cut"
  | "heal"
  | "server killed"
  | "server stopped"
  | "server back"
  | "clock"
  | "server clock";

/** Monotonic, and the same for all processes since the machine started. */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

export class History {
  readonly #file: number;
  readonly #process: string;

  constructor(folder: string, name: string) {
    this.#file = openSync(join(folder, `${name}.jsonl`), "a");
    this.#process = name;
  }

  /** Written before it returns, so that a killed process leaves its history behind. */
  note(event: Omit<Event, "at" | "process"> & { at?: number }): void {
    writeSync(this.#file, `${JSON.stringify({ at: now(), process: this.#process, ...event })}\n`);
  }

  close(): void {
    closeSync(this.#file);
  }
}

/** Makes one history of those of all processes, in the order of time, writes it to `file` and removes the parts. */
export function merge(folder: string, file: string): Event[] {
  const events = readdirSync(folder)
    .flatMap((name) => readEvents(join(folder, name)))
    .sort((a, b) => a.at - b.at);
  writeFileSync(file, events.map((event) => `${JSON.stringify(event)}\n`).join(""));
  rmSync(folder, { recursive: true });
  return events;
}

export function readEvents(file: string): Event[] {
  // What follows the last line's end is empty, or a line in the midst of which its process was killed: what it had not yet noted, it had not done.
  const lines = readFileSync(file, "utf8").split("\n").slice(0, -1);
  return lines.map((line) => JSON.parse(line) as Event);
}
