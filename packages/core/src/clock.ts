/** Time: the only file that names `setTimeout`, `Date`, `performance` or `os.uptime()`. A virtual clock can take its place. */
import { uptime } from "node:os";

export interface Clock {
  /**
   * Milliseconds that have really passed since some fixed moment: monotonic, counts the time a machine was suspended, and is not moved by a
   * step of the wall clock. Only differences mean anything.
   */
  now(): number;
  /** Runs `run` once, `ms` from now. `keepAlive: false` lets the process exit meanwhile. */
  setTimer(run: () => void, ms: number, keepAlive: boolean): Timer;
  /** The wall clock, for people to read; never used to decide anything. */
  date(): Date;
}

export interface Timer {
  cancel(): void;
  /** Changes whether the process stays alive for it. */
  keepAlive(yes: boolean): void;
}

/**
 * Runs `run` once, `ms` from now, unless it is cancelled: the time limit of a request, for drivers. An event loop that was blocked runs the
 * timers that are due before it reads what has come meanwhile, and before it writes what had not gone out. So the last tenth of the time, at
 * most 20 ms, begins when the loop turns: an answer that is there cancels the limit in time. The process stays alive meanwhile.
 */
export function setTimeLimit(clock: Clock, run: () => void, ms: number): Pick<Timer, "cancel"> {
  const lastMs = Math.min(ms / 10, 20);
  const beginLast = () => {
    timer = clock.setTimer(run, lastMs, true);
  };
  let timer = clock.setTimer(beginLast, ms - lastMs, true);
  return { cancel: () => timer.cancel() };
}

/** `setTimeout` fires at once above this; longer waits are made of pieces. */
const longestTimeoutMs = 2 ** 31 - 1;

/** Disagreements below this are slewing and rounding (`/proc/uptime` counts hundredths of a second), not a suspension. */
const suspicionMs = 100;

/** The three clocks of a machine, each in milliseconds. */
export interface RawClocks {
  /** Monotonic; stands still while the machine is suspended. */
  monotonic(): number;
  /** Can be stepped at any time, counts suspension. */
  wall(): number;
  /** Coarse; counts suspension and ignores steps. */
  uptime(): number;
}

/**
 * Elapsed time that neither a suspension nor a step of the wall clock can falsify. The monotonic clock is the base. Only when the wall clock
 * disagrees with it is the uptime read, which tells a suspension (uptime went on as well: the larger elapse counts) from a step (it did not).
 */
export function elapsedClock(clocks: RawClocks): () => number {
  let suspendedMs = 0;
  let wallOffset = clocks.wall() - clocks.monotonic();
  let uptimeOffset = clocks.uptime() - clocks.monotonic();
  return () => {
    const monotonic = clocks.monotonic();
    const drift = clocks.wall() - monotonic - wallOffset;
    if (drift > suspicionMs || drift < -suspicionMs) {
      wallOffset += drift;
      const slept = clocks.uptime() - monotonic - uptimeOffset;
      if (slept > suspicionMs) {
        uptimeOffset += slept;
        suspendedMs += slept;
      }
    }
    return monotonic + suspendedMs;
  };
}

export const systemClock: Clock = {
  now: elapsedClock({
    monotonic: () => performance.now(),
    wall: () => Date.now(),
    uptime: () => uptime() * 1_000,
  }),
  setTimer(run, ms, keepAlive) {
    let alive = keepAlive;
    let handle: NodeJS.Timeout;
    const arm = (left: number) => {
      // Rounded up: a timer that fires a fraction early would find nothing due and have to be set again.
      const piece = Math.min(Math.max(Math.ceil(left), 0), longestTimeoutMs);
      handle = setTimeout(left > piece ? () => arm(left - piece) : run, piece);
      if (!alive) handle.unref();
    };
    arm(ms);
    return {
      cancel: () => clearTimeout(handle),
      keepAlive(yes) {
        alive = yes;
        if (yes) handle.ref();
        else handle.unref();
      },
    };
  },
  date: () => new Date(),
};
