/** Waiting for the write lock without blocking: one line of attempts for a connection, and fair turns among processes. */
import { type Clock, driverError, type Timer } from "@dlock/core";
import { Busy } from "./faults.js";

/** How long a process may take one write transaction after the other before its next acquire steps back. */
const turnMs = 5;
/** The pause between two turns, and between two attempts: long enough that whoever tries this often gets in. */
const tickMs = 1;
/** After this long without meeting another writer, a process has the file to itself and steps back only for its own event loop. */
const lonelyMs = 200;

export interface Attempt<T> {
  /** Throws {@link Busy} to be tried again. */
  run(): T;
  readonly timeoutMs: number;
  /** Gives way to other processes once this one's turn is over. True for what takes locks, false for what frees them. */
  readonly yields: boolean;
}

interface Waiting {
  readonly attempt: Attempt<unknown>;
  readonly deadline: number;
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

export class AttemptQueue {
  readonly #clock: Clock;
  #waiting: Waiting[] = [];
  /** Why the last attempt did not get through (someone else has the write lock): nobody of us tries before the tick. */
  #busy: Busy | undefined;
  /** Our turn is over: nobody of us that yields tries before the tick. */
  #resting = false;
  #timer: Timer | undefined;
  #turnStart = Number.NEGATIVE_INFINITY;
  #lastEnd = Number.NEGATIVE_INFINITY;
  #lastBusy = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether this process has lately had to wait for other writers. */
  get crowded(): boolean {
    return this.#clock.now() - this.#lastBusy < lonelyMs;
  }

  /** Settles with what `attempt` returns or throws; while it is busy, tries again until `timeoutMs` have passed. */
  run<T>(attempt: Attempt<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const deadline = this.#clock.now() + attempt.timeoutMs;
      const waiting: Waiting = { attempt, deadline, resolve: resolve as (value: unknown) => void, reject };
      if (!this.#try(waiting)) this.#waiting.push(waiting);
    });
  }

  /** Settles what waits with one last attempt each, which fails because the store is closed by now. */
  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#busy = undefined;
    this.#resting = false;
    this.#drain();
  }

  /** Whether it is settled. */
  #try(waiting: Waiting): boolean {
    if (this.#busy !== undefined || (this.#resting && waiting.attempt.yields)) return false;
    const start = this.#clock.now();
    if (start - this.#lastEnd >= tickMs) this.#turnStart = start;
    try {
      waiting.resolve(waiting.attempt.run());
    } catch (error) {
      if (error instanceof Busy) {
        this.#busy = error;
        this.#lastBusy = start;
        this.#tickLater();
        return false;
      }
      waiting.reject(error);
    }
    this.#lastEnd = this.#clock.now();
    if (this.#lastEnd - this.#turnStart >= turnMs) this.#rest();
    return true;
  }

  #rest(): void {
    this.#resting = true;
    if (this.crowded) this.#tickLater();
    // Alone: only lets timers and sockets of this process have their turn, which a loop of already settled promises would starve.
    else {
      setImmediate(() => {
        if (this.#timer === undefined) this.#tick();
      });
    }
  }

  #tickLater(): void {
    this.#timer ??= this.#clock.setTimer(() => this.#tick(), tickMs, true);
  }

  #tick(): void {
    this.#timer = undefined;
    this.#busy = undefined;
    this.#resting = false;
    this.#turnStart = this.#clock.now();
    this.#drain();
  }

  #drain(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const one of waiting) {
      if (this.#try(one)) continue;
      if (this.#clock.now() < one.deadline) this.#waiting.push(one);
      else one.reject(tooLong(one.attempt.timeoutMs, this.#busy));
    }
    if (this.#waiting.length > 0) this.#tickLater();
  }
}

function tooLong(timeoutMs: number, busy: Busy | undefined) {
  const why = busy?.message ?? "the transactions of this process take too long";
  return driverError(`${why}, for ${timeoutMs} ms by now`, { applied: "no", retryable: true, cause: busy });
}
