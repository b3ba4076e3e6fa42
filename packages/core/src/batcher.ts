/**
 * Natural group commit: a claim goes out in the same tick when nothing is in flight; what arrives meanwhile forms the next batch. At
 * concurrency 1 nothing is delayed, at concurrency 256 a few calls carry all. A batch that comes back late does not hold up the next one.
 */
import type { Clock } from "./clock.js";
import type { Call, Claim, DriverError, Outcome } from "./driver.js";
import { driverError, isDriverError } from "./errors.js";
import type { Entry, Schedule } from "./schedule.js";

/** Who is told what became of a claim. Told exactly once, at the latest when the attempt's time is over. */
export interface Receiver<R> {
  /** @param sentAt when the call that carried the claim went out: validity counts from there. */
  onOutcome(outcome: Outcome<R>, sentAt: number): void;
}

export interface BatcherOptions<C extends Claim, R> {
  send(claims: readonly C[], call: Call): Promise<readonly Outcome<R>[]>;
  /** Whether one answer has the form of an answer: what comes back from a server is not trusted. */
  isAnswer(value: unknown): value is R;
  /** Claims for which this is equal never share a batch (R10). */
  identityOf(claim: C): string;
  laneOf: ((key: string) => string) | undefined;
  maxBatch: number;
  /** Whether a call in flight keeps the process alive. */
  keepsAlive: boolean;
  clock: Clock;
  schedule: Schedule;
}

interface Item<C extends Claim, R> {
  readonly claim: C;
  readonly receiver: Receiver<R>;
}

/** A batch that has taken this many times the usual is late. */
const lateFactor = 2;
const shortestLateMs = 2;
const longestLateMs = 50;
/** Idle lanes are kept for their memory of the usual time, but not for ever. */
const keptLanes = 64;

export class Batcher<C extends Claim, R> {
  readonly #options: BatcherOptions<C, R>;
  readonly #lanes = new Map<string | number, Lane<C, R>>();

  constructor(options: BatcherOptions<C, R>) {
    this.#options = options;
  }

  /** Every claim of one batch has the same `timeoutMs`: it is the time of the call. */
  submit(claim: C, timeoutMs: number, receiver: Receiver<R>): void {
    const { laneOf } = this.#options;
    const id = laneOf === undefined ? timeoutMs : `${timeoutMs} ${laneOf(claim.key)}`;
    let lane = this.#lanes.get(id);
    if (lane === undefined) {
      if (this.#lanes.size >= keptLanes) this.#dropIdle();
      lane = new Lane(this.#options, timeoutMs);
      this.#lanes.set(id, lane);
    }
    lane.add({ claim, receiver });
  }

  /** The usual time of a call, in ms: the moving average of the lane that answered last. */
  get usualMs(): number {
    let usual = 0;
    for (const lane of this.#lanes.values()) usual = Math.max(usual, lane.usualMs);
    return usual;
  }

  /** Resolves when nothing waits and nothing is in flight. */
  async idle(): Promise<void> {
    for (const lane of this.#lanes.values()) await lane.untilIdle();
    for (const lane of this.#lanes.values()) if (!lane.idle) return this.idle();
  }

  #dropIdle(): void {
    for (const [id, lane] of this.#lanes) if (lane.idle) this.#lanes.delete(id);
  }
}

class Lane<C extends Claim, R> implements Entry {
  at = 0;
  slot = -1;
  readonly keepsAlive: boolean;
  usualMs = shortestLateMs;
  readonly #options: BatcherOptions<C, R>;
  readonly #timeoutMs: number;
  #waiting: Item<C, R>[] = [];
  #inFlight = 0;
  #lastSentAt = 0;
  #flushing = false;
  #whenIdle: (() => void)[] = [];

  constructor(options: BatcherOptions<C, R>, timeoutMs: number) {
    this.#options = options;
    this.#timeoutMs = timeoutMs;
    this.keepsAlive = options.keepsAlive;
  }

  get idle(): boolean {
    return this.#inFlight === 0 && this.#waiting.length === 0;
  }

  untilIdle(): Promise<void> {
    return this.idle ? Promise.resolve() : new Promise((resolve) => this.#whenIdle.push(resolve));
  }

  add(item: Item<C, R>): void {
    this.#waiting.push(item);
    if (this.#flushing) return;
    if (this.#inFlight === 0) this.#flushSoon();
    else if (this.slot < 0) this.#options.schedule.set(this, this.#lateAt());
  }

  /** The batch in flight is late: the next one does not wait for it. */
  run(): void {
    if (this.#waiting.length > 0 && !this.#flushing) this.#flush();
  }

  /** Each further batch that hangs doubles the patience, so a silent server sees few of them, whatever the timeout. */
  #lateAt(): number {
    const patience = Math.min(Math.max(this.usualMs * lateFactor, shortestLateMs), longestLateMs);
    return this.#lastSentAt + patience * 2 ** (this.#inFlight - 1);
  }

  /** At the end of this tick, so that claims made together go together. */
  #flushSoon(): void {
    this.#flushing = true;
    queueMicrotask(() => {
      this.#flushing = false;
      if (this.#waiting.length > 0) this.#flush();
    });
  }

  #flush(): void {
    const { maxBatch, schedule, clock } = this.#options;
    const items = this.#take(maxBatch);
    this.#inFlight++;
    this.#lastSentAt = clock.now();
    const flight = new Flight(this.#options, items, this.#lastSentAt, (tookMs) => this.#landed(tookMs));
    flight.start(this.#timeoutMs);
    if (this.#waiting.length > 0) schedule.set(this, this.#lateAt());
    else schedule.delete(this);
  }

  #landed(tookMs: number): void {
    this.#inFlight--;
    this.usualMs += (tookMs - this.usualMs) / 8;
    if (this.#waiting.length > 0 && !this.#flushing) this.#flushSoon();
    // In a microtask: the answers of the batch are delivered first, and may bring new claims.
    else if (this.#whenIdle.length > 0) queueMicrotask(() => this.#tellIdle());
  }

  #tellIdle(): void {
    if (this.idle) for (const resolve of this.#whenIdle.splice(0)) resolve();
  }

  /** The oldest claims, at most `most`, no identity twice; those left over keep their order. */
  #take(most: number): Item<C, R>[] {
    const waiting = this.#waiting;
    if (waiting.length === 1) {
      this.#waiting = [];
      return waiting;
    }
    const taken: Item<C, R>[] = [];
    const left: Item<C, R>[] = [];
    const seen = new Set<string>();
    for (const item of waiting) {
      const identity = this.#options.identityOf(item.claim);
      if (taken.length < most && !seen.has(identity)) {
        seen.add(identity);
        taken.push(item);
      } else left.push(item);
    }
    this.#waiting = left;
    return taken;
  }
}

/** One driver call: its claims, its time limit, and the delivery of its answers, once. */
class Flight<C extends Claim, R> implements Entry {
  at = 0;
  slot = -1;
  readonly keepsAlive: boolean;
  readonly #options: BatcherOptions<C, R>;
  readonly #items: readonly Item<C, R>[];
  readonly #sentAt: number;
  readonly #landed: (tookMs: number) => void;
  #over = false;

  constructor(options: BatcherOptions<C, R>, items: readonly Item<C, R>[], sentAt: number, landed: (tookMs: number) => void) {
    this.#options = options;
    this.#items = items;
    this.#sentAt = sentAt;
    this.#landed = landed;
    this.keepsAlive = options.keepsAlive;
  }

  start(timeoutMs: number): void {
    this.#options.schedule.set(this, this.#sentAt + timeoutMs);
    const claims = this.#items.map((item) => item.claim);
    let answer: Promise<readonly Outcome<R>[]>;
    try {
      // The driver gets a little less, so that its own, more telling, error comes before ours.
      answer = Promise.resolve(this.#options.send(claims, { timeoutMs: Math.max(timeoutMs - Math.min(timeoutMs / 10, 50), 1) }));
    } catch (error) {
      answer = Promise.reject(error);
    }
    answer.then(
      (outcomes) => this.#deliver(outcomes),
      (error) => this.#fail(unknownFrom(error)),
    );
  }

  /** The time is over and the driver has not stopped as it should have. */
  run(): void {
    this.#fail(driverError("the backend did not answer within the attempt's time", { applied: "unknown", retryable: true }));
  }

  #deliver(outcomes: readonly Outcome<R>[]): void {
    if (this.#over) return;
    if (!Array.isArray(outcomes) || outcomes.length !== this.#items.length) {
      this.#fail(driverError("the driver did not answer each claim of the batch", { applied: "unknown", retryable: true }));
      return;
    }
    this.#end();
    for (let i = 0; i < this.#items.length; i++) {
      const outcome = outcomes[i] as Outcome<R>;
      const sound = isDriverError(outcome) || this.#options.isAnswer(outcome);
      const told = sound
        ? outcome
        : driverError("the driver's answer is malformed", { applied: "unknown", retryable: true, cause: outcome });
      (this.#items[i] as Item<C, R>).receiver.onOutcome(told, this.#sentAt);
    }
  }

  #fail(error: DriverError): void {
    if (this.#over) return;
    this.#end();
    for (const item of this.#items) item.receiver.onOutcome(error, this.#sentAt);
  }

  #end(): void {
    this.#over = true;
    this.#options.schedule.delete(this);
    this.#landed(this.#options.clock.now() - this.#sentAt);
  }
}

/** A throw means unknown for every claim (R2). */
function unknownFrom(error: unknown): DriverError {
  const message = error instanceof Error ? error.message : String(error);
  const retryable = isDriverError(error) ? error.retryable : true;
  return driverError(message, { applied: "unknown", retryable, cause: error });
}
