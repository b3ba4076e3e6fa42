/** Turns between processes on a contended key: when a process has had the key to itself for long enough, and how it lets others come first. */
import type { Engine } from "./engine.js";
import type { Lease } from "./lease.js";
import { mostHandOffs } from "./token.js";

/** So often a lease is handed on in one turn, or more often while the turn has been shorter than so many pauses. */
const usualHandOffs = 16;
const turnFactor = 4;
/** For so long after another holder was in the way, every release is followed by a pause. */
const rivalMs = 1_000;
/** A process that paused for others and met none need not pause again for so long. */
const quietMs = 20;
const longestPauseMs = 30;
/** The least a waiter of another process sleeps between two looks, where nothing wakes it. */
const polledWakeMs = 20;

/** Whether the lease has to go back to the server although a waiter of this process could take it over. */
export function turnIsOver(engine: Engine, lease: Lease, now: number): boolean {
  const turnMs = now - lease.grantedAt;
  const { maxMs, max = mostIn(engine, turnMs) } = engine.spec.handOff;
  return lease.handOffs >= max || turnMs >= maxMs;
}

/** Sixteen empty sections take less than the round trips of the next turn: then those would be nearly all there is. */
function mostIn(engine: Engine, turnMs: number): number {
  return turnMs < pauseMs(engine) * turnFactor ? mostHandOffs : usualHandOffs;
}

/** Whether another holder was in the way lately. */
export function rivalsAreNear(now: number, rivalAt: number): boolean {
  return now - rivalAt <= rivalMs;
}

/** Whether a process that meets no others should look out for some: rarely, since it costs those who have the key to themselves. */
export function breakIsDue(now: number, pausedAt: number): boolean {
  return now - pausedAt >= quietMs;
}

/** About one wake-up latency. */
export function pauseMs({ acquires, driver }: Engine): number {
  const { watch, wakeMs = watch ? 0 : polledWakeMs } = driver.capabilities;
  return Math.min(acquires.usualMs * 2 + wakeMs, longestPauseMs);
}
