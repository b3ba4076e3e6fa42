/** A clock that jumps to the next timer as soon as nothing else is left to do: hours pass in a moment, and always in the same order. */
import type { Clock } from "../../src/index.ts";

interface Alarm {
  readonly at: number;
  readonly run: () => void;
}

export function virtualClock(): Clock {
  let now = 0;
  let pumping = false;
  const alarms = new Set<Alarm>();

  const pump = () => {
    pumping = false;
    let next: Alarm | undefined;
    for (const alarm of alarms) if (next === undefined || alarm.at < next.at) next = alarm;
    if (next === undefined) return;
    alarms.delete(next);
    now = Math.max(now, next.at);
    next.run();
    wind();
  };
  const wind = () => {
    if (pumping || alarms.size === 0) return;
    pumping = true;
    // After all promises that can settle now have settled.
    setImmediate(pump);
  };

  return {
    now: () => now,
    date: () => new Date(now),
    setTimer(run, ms) {
      const alarm = { at: now + ms, run };
      alarms.add(alarm);
      wind();
      return { cancel: () => alarms.delete(alarm), keepAlive: () => {} };
    },
  };
}
