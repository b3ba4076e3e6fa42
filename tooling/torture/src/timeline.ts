/** A line of characters for each place, and one for the server: what happened to it when. */
import type { Event } from "./history.js";

const columns = 100;

export const legend =
  "X killed   z stopped   ~ cut off   | cut   K server killed   Z server stopped   c clock stepped   . grants   (blank: none)";

const marks: Record<string, string> = {
  kill: "X",
  stop: "z",
  "cut off": "~",
  cut: "|",
  "server killed": "K",
  "server stopped": "Z",
  clock: "c",
  "server clock": "c",
};
/** Those that another event ends. */
const lasting = new Set(["stop", "cut off", "server killed", "server stopped"]);

/** @param events in the order of time. */
export function timeline(events: readonly Event[]): string[] {
  const from = events[0]?.at ?? 0;
  const step = ((events.at(-1)?.at ?? 0) - from + 1) / columns;
  const lines = new Map<string, string[]>();
  const going = new Map<string, { mark: string; since: number }>();
  const lineOf = (place: string) => {
    const line = lines.get(place) ?? Array.from({ length: columns }, () => " ");
    lines.set(place, line);
    return line;
  };
  for (const event of events) {
    const column = Math.floor((event.at - from) / step);
    const place = placeOf(event);
    if (event.type === "ok" && event.op === "lock" && lineOf(place)[column] === " ") lineOf(place)[column] = ".";
    if (event.type !== "fault" || event.fault === undefined) continue;
    const mark = marks[event.fault];
    if (mark === "c") lineOf(place)[column] = mark;
    // A clock may be stepped in the midst of another fault, and ends none.
    if (mark === "c") continue;
    const before = going.get(place);
    if (before !== undefined) for (let each = before.since; each <= column; each++) lineOf(place)[each] = before.mark;
    going.delete(place);
    if (mark !== undefined) lineOf(place)[column] = mark;
    if (mark !== undefined && lasting.has(event.fault)) going.set(place, { mark, since: column });
  }
  const width = Math.max(...[...lines.keys()].map((name) => name.length), 0);
  return [...lines].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, line]) => `${name.padEnd(width)} |${line.join("")}|`);
}

/** A successor stands in the place of the dead; a clock that is nobody's is that of the whole machine. */
function placeOf({ type, process, fault, target }: Event): string {
  const name = type === "fault" ? (target ?? (fault === "clock" ? "clock" : "server")) : process;
  return name.replace(/\.\d+$/, "");
}
