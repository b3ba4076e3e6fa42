/**
 * Natural group commit: a claim goes out in the same tick when nothing is in flight; what arrives meanwhile forms the next batch. At
 * concurrency 1 nothing is delayed, at concurrency 256 a few calls carry all. A batch that comes back late does not hold up the next one.
 */
import type { Claim, Outcome } from "./driver.js";
import { checked, Flight, type FlightOptions, type Receiver, thrown } from "./flight.js";
import type { Entry } from "./schedule.js";

export interface BatcherOptions<C extends Claim, R> extends FlightOptions<C, R> {
  /** Answers one claim at once, where the driver can: then there is nothing to group, to time, or to wait for. */
  decide: ((claim: C) => Outcome<R>) | undefined;
  /** What may stand only once in a batch (R10). */
  unique: "key" | "key and owner";
  laneOf: ((key: string) => string) | undefined;
  maxBatch: number;
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

  /**
   * @param timeoutMs is the same for every claim of a batch: it is the time of the call.
   * @param now the engine's clock has just said so.
   * @param alone nothing else for this key and owner can be waiting to be sent, so it need not be looked for.
   */
  submit(claim: C, timeoutMs: number, receiver: Receiver<R>, now: number, alone = false): void {
    const { laneOf, decide } = this.#options;
    if (decide !== undefined) {
      receiver.onOutcome(this.#decide(decide, claim), now, now);
      return;
    }
    let id: string | number = timeoutMs;
    try {
      if (laneOf !== undefined) id = `${timeoutMs} ${laneOf(claim.key)}`;
    } catch (error) {
      receiver.onOutcome(thrown(error, "no"), now, now);
      return;
    }
    let lane = this.#lanes.get(id);
    if (lane === undefined) {
      if (this.#lanes.size >= keptLanes) this.#dropIdle();
      lane = new Lane(this.#options, timeoutMs);
      this.#lanes.set(id, lane);
    }
    lane.add(claim, receiver, now, alone);
  }

  #decide(decide: (claim: C) => Outcome<R>, claim: C): Outcome<R> {
    try {
      return checked(decide(claim), this.#options);
    } catch (error) {
      return thrown(error);
    }
  }

  /** The usual time of a call, in ms: the slowest lane's moving average. */
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
  slot = -1;
  readonly keepsAlive: boolean;
  usualMs = shortestLateMs;
  readonly #options: BatcherOptions<C, R>;
  readonly #timeoutMs: number;
  /** What waits to be sent: claims, and at the same places who made them. */
  #claims: C[] = [];
  #receivers: Receiver<R>[] = [];
  /** When they were made: an attempt's time counts from there, sent or not. */
  #madeAt: number[] = [];
  /** Whether two of them may be for the same. */
  #mayRepeat = false;
  #inFlight = 0;
  /** How many flights have landed and still have answers to tell. */
  #telling = 0;
  #lastSentAt = 0;
  #flushing = false;
  #whenIdle: (() => void)[] = [];

  constructor(options: BatcherOptions<C, R>, timeoutMs: number) {
    this.#options = options;
    this.#timeoutMs = timeoutMs;
    this.keepsAlive = options.keepsAlive;
  }

  get idle(): boolean {
    return this.#inFlight === 0 && this.#telling === 0 && this.#claims.length === 0;
  }

  untilIdle(): Promise<void> {
    return this.idle ? Promise.resolve() : new Promise((resolve) => this.#whenIdle.push(resolve));
  }

  add(claim: C, receiver: Receiver<R>, now: number, alone: boolean): void {
    this.#mayRepeat ||= !alone;
    if (this.#claims.length === 0) {
      // Mostly it stays alone, and a list made by `push` would have room for seventeen.
      this.#claims = [claim];
      this.#receivers = [receiver];
      this.#madeAt = [now];
    } else {
      this.#claims.push(claim);
      this.#receivers.push(receiver);
      this.#madeAt.push(now);
    }
    if (this.#flushing) return;
    if (this.#inFlight === 0) this.#flushSoon();
    else if (this.slot < 0) this.#options.schedule.set(this, this.#lateAt());
  }

  /** What still waits is told: a flight that can no longer start fails. */
  closed(): void {
    while (this.#claims.length > 0) this.#flush(this.#options.clock.now());
  }

  /** The batch in flight is late: the next one does not wait for it. */
  run(now: number): void {
    if (this.#claims.length > 0 && !this.#flushing) this.#flush(now);
  }

  /**
   * Each further batch that hangs doubles the patience, so a silent server sees few of them, whatever the timeout; but half of an attempt's
   * time is for the server.
   */
  #lateAt(): number {
    const patience = Math.min(Math.max(this.usualMs * lateFactor, shortestLateMs), longestLateMs);
    return Math.min(this.#lastSentAt + patience * 2 ** (this.#inFlight - 1), (this.#madeAt[0] as number) + this.#timeoutMs / 2);
  }

  /** At the end of this tick, so that claims made together go together. What the tick has still to do may take long. */
  #flushSoon(): void {
    this.#flushing = true;
    queueMicrotask(() => {
      this.#flushing = false;
      if (this.#claims.length > 0) this.#flush(this.#options.clock.now());
    });
  }

  #flush(now: number): void {
    const { schedule, maxBatch } = this.#options;
    this.#inFlight++;
    this.#lastSentAt = now;
    const claims = this.#claims;
    const receivers = this.#receivers;
    const madeAt = this.#madeAt;
    const tooMany = claims.length > maxBatch;
    this.#claims = tooMany ? claims.splice(maxBatch) : [];
    this.#receivers = tooMany ? receivers.splice(maxBatch) : [];
    this.#madeAt = tooMany ? madeAt.splice(maxBatch) : [];
    if (this.#mayRepeat && claims.length > 1) this.#holdBack(claims, receivers, madeAt);
    this.#mayRepeat &&= this.#claims.length > 0;
    // Half of an attempt's time is for the server, also when the event loop was blocked since the claim was made.
    const timeoutMs = Math.max((madeAt[0] as number) + this.#timeoutMs - now, this.#timeoutMs / 2);
    new Flight(this.#options, this, claims, receivers, now).start(timeoutMs);
    if (this.#claims.length > 0) schedule.set(this, this.#lateAt());
    else schedule.delete(this);
  }

  /** A flight has come to its end; its answers are about to be delivered. */
  landed(sentAt: number, now: number): void {
    this.#inFlight--;
    this.#telling++;
    this.usualMs += (now - sentAt - this.usualMs) / 8;
    if (this.#claims.length > 0 && !this.#flushing) this.#flushSoon();
  }

  /** All answers of a flight are delivered. */
  told(): void {
    this.#telling--;
    // In a microtask: the answers may bring new claims.
    if (this.#whenIdle.length > 0) queueMicrotask(() => this.#tellIdle());
  }

  #tellIdle(): void {
    if (this.idle) for (const resolve of this.#whenIdle.splice(0)) resolve();
  }

  /** Leaves what stands in this batch already for the next one, where it comes first. */
  #holdBack(claims: C[], receivers: Receiver<R>[], madeAt: readonly number[]): void {
    const { unique } = this.#options;
    const seen = new Set<string>();
    const later = { claims: [] as C[], receivers: [] as Receiver<R>[], madeAt: [] as number[] };
    let kept = 0;
    for (let i = 0; i < claims.length; i++) {
      const claim = claims[i] as C;
      const receiver = receivers[i] as Receiver<R>;
      const name = unique === "key" ? claim.key : claim.owner;
      const twice =
        seen.has(name) && (unique === "key" || claims.slice(0, kept).some(({ key, owner }) => key === claim.key && owner === claim.owner));
      if (twice) {
        later.claims.push(claim);
        later.receivers.push(receiver);
        later.madeAt.push(madeAt[i] as number);
      } else {
        seen.add(name);
        claims[kept] = claim;
        receivers[kept] = receiver;
        kept++;
      }
    }
    if (kept === claims.length) return;
    claims.length = kept;
    receivers.length = kept;
    this.#claims.unshift(...later.claims);
    this.#receivers.unshift(...later.receivers);
    this.#madeAt.unshift(...later.madeAt);
  }
}
