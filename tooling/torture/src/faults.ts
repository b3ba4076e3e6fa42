/**
 * The faults of a run: which, to whom, for how long, as the seed says. No place has two at a time, so that each ends as it should; but a clock
 * may be stepped in the midst of another.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { SteppableClock } from "@dlock-tooling/services";
import type { FaultName, History } from "./history.js";
import type { FaultKind } from "./options.js";
import type { Random } from "./random.js";
import type { Supervisor } from "./supervisor.js";
import type { Target } from "./target.js";

const hour = 3_600;

export class Faults {
  readonly #supervisor: Supervisor;
  readonly #target: Target;
  readonly #history: History;
  readonly #random: Random;
  readonly #ttlMs: number;
  readonly #busy = new Set<number>();
  readonly #going = new Set<Promise<void>>();
  #serverBusy = false;

  constructor(supervisor: Supervisor, target: Target, history: History, random: Random, ttlMs: number) {
    this.#supervisor = supervisor;
    this.#target = target;
    this.#history = history;
    this.#random = random;
    this.#ttlMs = ttlMs;
  }

  /** One after another for `durationMs`; resolves when the last of them is over. @throws what one of them failed with, which is no fault to test with. */
  async run(kinds: readonly FaultKind[], durationMs: number, interrupted: AbortSignal): Promise<void> {
    const over = performance.now() + durationMs;
    const failures: unknown[] = [];
    while (performance.now() < over && !interrupted.aborted && failures.length === 0) {
      const pauseMs = kinds.length === 0 ? durationMs : this.#random.between(0.5, 1.5) * this.#ttlMs;
      await sleep(Math.min(pauseMs, Math.max(over - performance.now(), 0)), undefined, { signal: interrupted }).catch(() => {});
      if (kinds.length === 0 || performance.now() >= over || interrupted.aborted) continue;
      const fault = this.#begin(this.#random.pick(kinds))
        .catch((error: unknown) => void failures.push(error))
        .finally(() => this.#going.delete(fault));
      this.#going.add(fault);
    }
    await Promise.all(this.#going);
    if (failures.length > 0) throw failures[0];
  }

  async #begin(kind: FaultKind): Promise<void> {
    if (kind === "server") {
      if (this.#serverBusy) return;
      this.#serverBusy = true;
      await this.#harmServer();
      this.#serverBusy = false;
      return;
    }
    if (kind === "server-clock") {
      this.#stepServerClock();
      return;
    }
    const place = Math.floor(this.#random.next() * this.#supervisor.size);
    if (kind === "clock") {
      this.#stepClock(place);
      return;
    }
    if (this.#busy.has(place)) return;
    this.#busy.add(place);
    if (kind === "kill") this.#supervisor.kill(place);
    else if (kind === "pause") await this.#pause(place);
    else await this.#cutOff(place);
    this.#busy.delete(place);
  }

  async #pause(place: number): Promise<void> {
    this.#supervisor.stop(place);
    await sleep(this.#random.between(0.7, 2.5) * this.#ttlMs);
    this.#supervisor.continue(place);
  }

  /** What is sent in a black hole arrives when it ends, a cut loses it, and half a black hole loses only what comes back. */
  async #cutOff(place: number): Promise<void> {
    const proxy = this.#target.proxies[place];
    if (proxy === undefined) return;
    const name = this.#supervisor.nameAt(place);
    const way = this.#random.pick(["both", "requests", "replies", "cut"] as const);
    if (way === "cut") {
      this.#note("cut", name);
      proxy.cut();
      return;
    }
    this.#note("cut off", name);
    proxy.blackHole(way);
    await sleep(this.#random.between(0.3, 2.5) * this.#ttlMs);
    proxy.heal();
    this.#note("heal", name);
  }

  async #harmServer(): Promise<void> {
    const { server } = this.#target;
    if (server === undefined) return;
    const lengthMs = this.#random.between(0.2, 1.5) * this.#ttlMs;
    if (this.#random.chance(0.5)) {
      this.#note("server stopped");
      server.pause();
      await sleep(lengthMs);
      server.resume();
    } else {
      this.#note("server killed");
      await server.kill();
      await sleep(lengthMs);
      await server.restart();
    }
    this.#note("server back");
  }

  /** Once for all workers where they share one clock. */
  #stepClock(place: number): void {
    const { clocks } = this.#target;
    const clock = clocks[place];
    if (clock === undefined) return;
    const shared = clocks.some((other, at) => at !== place && other === clock);
    this.#step(clock, this.#random.pick([-hour, 0, hour]), "clock", shared ? undefined : this.#supervisor.nameAt(place));
  }

  /** By hours, and by as little as a part of a TTL. */
  #stepServerClock(): void {
    const { serverClock } = this.#target;
    if (serverClock === undefined) return;
    const little = Math.round(this.#random.between(-3, 3) * this.#ttlMs) / 1_000;
    this.#step(serverClock, this.#random.pick([-hour, 0, hour, little, little]), "server clock", undefined);
  }

  #step(clock: SteppableClock, seconds: number, fault: FaultName, target: string | undefined): void {
    const stepMs = (seconds - clock.offsetSeconds) * 1_000;
    if (stepMs === 0) return;
    this.#history.note({ type: "fault", fault, stepMs, ...(target === undefined ? {} : { target }) });
    clock.step(seconds);
  }

  #note(fault: FaultName, target?: string): void {
    this.#history.note({ type: "fault", fault, ...(target === undefined ? {} : { target }) });
  }
}
