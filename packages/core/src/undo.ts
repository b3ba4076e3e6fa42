/**
 * Attempts whose outcome is unknown are undone, again and again, until they can no longer happen: a claim that is delivered late makes a
 * ghost that lives until the next round, never for its TTL.
 */

import type { Outcome } from "./driver.js";
import type { Engine } from "./engine.js";
import { isDriverError } from "./errors.js";
import type { Receiver } from "./flight.js";
import type { Entry } from "./schedule.js";

export interface Undoing {
  readonly key: string;
  readonly owner: string;
  /** Known when a lease was granted and its release failed. */
  readonly token?: bigint;
  /** When the attempt can no longer happen, on the engine's clock. */
  readonly until: number;
  /** One definite answer is enough: nothing of this owner is under way any more. */
  readonly untilAnswered: boolean;
  readonly timeoutMs: number;
}

/** Rounds come each second at first, then each five: few late deliveries are later than that. */
const roundMs = 1_000;
const eagerRounds = 10;
const lazyRoundMs = 5_000;

export class Undo implements Entry {
  slot = -1;
  readonly keepsAlive = false;
  readonly #engine: Engine;
  readonly #tasks = new Set<UndoTask>();

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  get size(): number {
    return this.#tasks.size;
  }

  /** Whether a lease is still being given back: who asks for it again, as the same owner, could lose it to that release. */
  isReleasing(key: string, owner: string): boolean {
    for (const { undoing } of this.#tasks) if (undoing.key === key && undoing.owner === owner) return true;
    return false;
  }

  /** Starts with a round at once. */
  add(undoing: Undoing): void {
    // After close() nothing can be sent: the TTL ends what is left.
    if (this.#engine.schedule.closed) return;
    const task = new UndoTask(this.#engine, undoing, (ended) => this.#end(ended));
    this.#tasks.add(task);
    task.round(this.#engine.clock.now());
    if (this.slot < 0) this.#engine.schedule.set(this, this.#engine.clock.now() + roundMs);
  }

  run(now: number): void {
    for (const task of this.#tasks) {
      if (now >= task.undoing.until) this.#end(task);
      else if (now >= task.nextAt) task.round(now);
    }
    if (this.#tasks.size > 0) this.#engine.schedule.set(this, now + roundMs);
  }

  #end(task: UndoTask): void {
    if (this.#tasks.delete(task)) this.#engine.gates.released(task.undoing.key, task.undoing.owner);
  }

  /** One more round for all, at close. */
  finish(): void {
    for (const task of this.#tasks) task.round(this.#engine.clock.now());
  }
}

class UndoTask implements Receiver<boolean> {
  nextAt = 0;
  readonly undoing: Undoing;
  readonly #engine: Engine;
  readonly #end: (task: UndoTask) => void;
  #rounds = 0;
  #inFlight = false;

  constructor(engine: Engine, undoing: Undoing, end: (task: UndoTask) => void) {
    this.#engine = engine;
    this.undoing = undoing;
    this.#end = end;
  }

  round(now: number): void {
    this.nextAt = now + (this.#rounds++ < eagerRounds ? roundMs : lazyRoundMs) - 1;
    if (this.#inFlight) return;
    this.#inFlight = true;
    const { key, owner, token, timeoutMs } = this.undoing;
    this.#engine.releases.submit(token === undefined ? { key, owner } : { key, owner, token }, timeoutMs, this, now);
  }

  onOutcome(outcome: Outcome<boolean>): void {
    this.#inFlight = false;
    if (isDriverError(outcome)) return;
    if (this.undoing.untilAnswered) this.#end(this);
    if (outcome) this.#engine.gates.wake(this.undoing.key);
  }
}
