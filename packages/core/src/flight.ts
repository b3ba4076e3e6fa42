/** One driver call: its claims, its time limit, and the delivery of its answers, once. */
import type { Clock } from "./clock.js";
import type { Call, Claim, DriverError, Outcome } from "./driver.js";
import { driverError, isDriverError, malformedAnswer, messageOf } from "./errors.js";
import type { Entry, Schedule } from "./schedule.js";

/** Who is told what became of a claim. Told exactly once, at the latest when the attempt's time is over. */
export interface Receiver<R> {
  /** @param sentAt when the call that carried the claim went out, or a little before: validity counts from there. */
  onOutcome(outcome: Outcome<R>, sentAt: number, now: number): void;
}

export interface FlightOptions<C extends Claim, R> {
  send(claims: readonly C[], call: Call): Promise<readonly Outcome<R>[]>;
  /** Whether one answer has the form of an answer: what comes back from a server is not trusted. */
  isAnswer(value: unknown): value is R;
  /** So many answers are told at most before what follows from them is on its way. */
  mostTold: number;
  /** Whether a call in flight keeps the process alive. */
  keepsAlive: boolean;
  clock: Clock;
  schedule: Schedule;
}

/** The lane from which it has started. */
interface Landing {
  /** It has come to its end; its answers are about to be delivered. */
  landed(sentAt: number, now: number): void;
  /** All of them are. */
  told(): void;
}

export class Flight<C extends Claim, R> implements Entry {
  slot = -1;
  readonly keepsAlive: boolean;
  readonly #options: FlightOptions<C, R>;
  readonly #lane: Landing;
  readonly #claims: readonly C[];
  readonly #receivers: readonly Receiver<R>[];
  readonly #sentAt: number;
  /** How much longer than the driver we wait. */
  #restMs = 0;
  #over = false;

  constructor(options: FlightOptions<C, R>, lane: Landing, claims: readonly C[], receivers: readonly Receiver<R>[], sentAt: number) {
    this.#options = options;
    this.#lane = lane;
    this.#claims = claims;
    this.#receivers = receivers;
    this.#sentAt = sentAt;
    this.keepsAlive = options.keepsAlive;
  }

  start(timeoutMs: number): void {
    if (this.#options.schedule.closed) {
      this.closed();
      return;
    }
    const call = { timeoutMs: driverTimeMs(timeoutMs) };
    this.#restMs = timeoutMs - call.timeoutMs;
    this.#options.schedule.set(this, this.#sentAt + call.timeoutMs);
    try {
      this.#options.send(this.#claims, call).then(
        (outcomes) => this.#deliver(outcomes),
        (error) => this.#fail(thrown(error)),
      );
    } catch (error) {
      // Told later like every other answer: whoever submits is not ready for it yet.
      queueMicrotask(() => this.#fail(thrown(error)));
    }
  }

  closed(): void {
    this.#fail(driverError("the provider was closed before the backend answered", { applied: "unknown", retryable: false }));
  }

  /** The driver's time is over, or ours is as well and it has not stopped as it should have. */
  run(now: number): void {
    const restMs = this.#restMs;
    if (restMs > 0) {
      // From now on: when the event loop was blocked, timers run before an answer that has come is read.
      this.#restMs = 0;
      this.#options.schedule.set(this, now + restMs);
    } else this.#fail(driverError("the backend did not answer within the attempt's time", { applied: "unknown", retryable: true }));
  }

  #deliver(outcomes: unknown): void {
    if (this.#over) return;
    const answers = answersOf(outcomes, this.#claims.length);
    if (answers === undefined) {
      this.#fail(driverError("the driver did not answer each claim of the batch", { applied: "unknown", retryable: true }));
      return;
    }
    const parts = Math.ceil(answers.length / this.#options.mostTold);
    this.#tell(answers, 0, Math.ceil(answers.length / parts), this.#end());
  }

  /**
   * Part by part: what follows from the answers of one goes out before the next is told, so that the server and this process work at the same
   * time. It goes out in microtasks, and those come before the next tick.
   */
  #tell(answers: readonly unknown[], from: number, count: number, now: number): void {
    const end = Math.min(from + count, answers.length);
    for (let i = from; i < end; i++) {
      (this.#receivers[i] as Receiver<R>).onOutcome(checked(answers[i], this.#options), this.#sentAt, now);
    }
    if (end === answers.length) this.#lane.told();
    else process.nextTick(() => this.#tell(answers, end, count, this.#options.clock.now()));
  }

  #fail(error: DriverError): void {
    if (this.#over) return;
    const now = this.#end();
    for (const receiver of this.#receivers) receiver.onOutcome(error, this.#sentAt, now);
    this.#lane.told();
  }

  #end(): number {
    const { schedule, clock } = this.#options;
    const now = clock.now();
    this.#over = true;
    schedule.delete(this);
    this.#lane.landed(this.#sentAt, now);
    return now;
  }
}

/** The driver gets a little less than the attempt's time, so that its own, more telling, error comes before ours. */
export function driverTimeMs(timeoutMs: number): number {
  return Math.max(timeoutMs - Math.min(timeoutMs / 10, 50), 1);
}

/** A copy of the list, since a list may be a proxy that throws; undefined when it is not one of `count` answers. */
function answersOf(outcomes: unknown, count: number): unknown[] | undefined {
  try {
    return Array.isArray(outcomes) && outcomes.length === count ? [...outcomes] : undefined;
  } catch {
    return undefined;
  }
}

export function checked<R>(outcome: unknown, { isAnswer }: { isAnswer(value: unknown): value is R }): Outcome<R> {
  return isAnswer(outcome) || isDriverError(outcome) ? outcome : malformedAnswer(outcome);
}

/** A throw of a call means unknown for every claim (R2). */
export function thrown(error: unknown, applied: "no" | "unknown" = "unknown"): DriverError {
  const retryable = isDriverError(error) ? error.retryable : true;
  return driverError(messageOf(error), { applied, retryable, cause: error });
}
