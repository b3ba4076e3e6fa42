/** A line of characters for each worker: what it did when. */
import type { Event, Histories } from "./history.js";

const columns = 72;

export const legend = "# holds locks   . waits   X killed   z stopped   ! stale write refused   2 stale write went through";

export function timeline(histories: Histories): string[] {
  const moments = [...histories.values()].flat().map(({ at }) => at);
  const from = Math.min(...moments);
  // A little more than the whole, so that the last moment falls into the last column.
  const step = (Math.max(...moments) - from + 0.001) / columns;
  const width = Math.max(...[...histories.keys()].map((worker) => worker.length));
  return [...histories].map(([worker, events]) => {
    const marks = Array.from({ length: columns }, (_, column) => mark(events, from + column * step, from + (column + 1) * step));
    return `${worker.padEnd(width)} |${marks.join("")}|`;
  });
}

/** What the column from `start` to `end` shows: the rarest thing in it. */
function mark(events: readonly Event[], start: number, end: number): string {
  const inside = events.filter(({ at }) => at >= start && at < end);
  const has = (name: string) => inside.some(({ event }) => event === name);
  if (has("killed")) return "X";
  if (has("continued")) return afterSleep(events);
  if (has("refused")) return "!";
  const before = events.findLast(({ at }) => at < start)?.event;
  if (before === "stopped") return "z";
  if (inside.length > 0) return inside.every(({ event }) => event === "started" || event === "finished") ? "." : "#";
  if (before === undefined || before === "finished" || before === "killed") return " ";
  return before === "released" || before === "started" ? "." : "#";
}

/** The first thing a sleeper does is the write that it had decided on. */
function afterSleep(events: readonly Event[]): string {
  const next = events
    .slice(events.findIndex(({ event }) => event === "continued") + 1)
    .find(({ event }) => event === "posted" || event === "refused");
  return next?.event === "posted" ? "2" : "!";
}
