/** A clock that stands still until the test moves it: timers run in order, and everything that can settle between two of them does. */
import type { Clock, Timer } from "../../src/index.ts";

interface Alarm {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
  keepsAlive: boolean;
}

export class VirtualClock implements Clock {
  #now = 0;
  #order = 0;
  readonly #alarms = new Set<Alarm>();

  now(): number {
    return this.#now;
  }

  date(): Date {
    return new Date(this.#now);
  }

  setTimer(run: () => void, ms: number, keepAlive: boolean): Timer {
    const alarm: Alarm = { at: this.#now + Math.max(ms, 0), order: this.#order++, run, keepsAlive: keepAlive };
    this.#alarms.add(alarm);
    return {
      cancel: () => this.#alarms.delete(alarm),
      keepAlive: (yes) => {
        alarm.keepsAlive = yes;
      },
    };
  }

  /** How many timers are set. */
  get pending(): number {
    return this.#alarms.size;
  }

  /** How many of them would keep a real process alive. */
  get vital(): number {
    let vital = 0;
    for (const alarm of this.#alarms) if (alarm.keepsAlive) vital++;
    return vital;
  }

  /** For what runs while the test moves the clock: resolves `ms` later. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.setTimer(resolve, ms, true));
  }

  /** Lets everything settle that needs no time. */
  settle(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }

  /** Moves on by `ms`, running what falls due on the way. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    await this.settle();
    for (let next = this.#next(); next !== undefined && next.at <= until; next = this.#next()) await this.#ring(next);
    this.#now = Math.max(this.#now, until);
  }

  /** Moves on, timer by timer, until `work` has settled; resolves or rejects as it does. Fails when no timer is left to wait for. */
  async until<T>(work: Promise<T>, longestMs = 3_600_000): Promise<T> {
    let settled = false;
    const note = () => {
      settled = true;
    };
    work.then(note, note);
    const last = this.#now + longestMs;
    await this.settle();
    while (!settled) {
      const next = this.#next();
      if (next === undefined) throw new Error(`nothing is left to wait for at ${this.#now} ms, and the work has not settled`);
      if (next.at > last) throw new Error(`the work has not settled within ${longestMs} ms`);
      await this.#ring(next);
    }
    return work;
  }

  /** Time passes while the event loop stands still (or the machine sleeps): no timer runs until the loop turns again. */
  jump(ms: number): void {
    this.#now += ms;
  }

  #next(): Alarm | undefined {
    let next: Alarm | undefined;
    for (const alarm of this.#alarms) {
      if (next === undefined || alarm.at < next.at || (alarm.at === next.at && alarm.order < next.order)) next = alarm;
    }
    return next;
  }

  async #ring(alarm: Alarm): Promise<void> {
    this.#alarms.delete(alarm);
    this.#now = Math.max(this.#now, alarm.at);
    alarm.run();
    await this.settle();
  }
}
