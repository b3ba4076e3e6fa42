/** Durations as people write them, in URLs, configuration files and on the command line. */
import { describe } from "./key.js";
import { longestMs } from "./options.js";

const unitMs: Readonly<Record<string, number>> = { "": 1, ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/**
 * Milliseconds from `"250"`, `"250ms"`, `"30s"`, `"5m"`, `"1h"` or `"2d"`, or from a number of them.
 *
 * @param name how the value is named in the error.
 * @throws TypeError or RangeError that names the value and what is accepted.
 */
export function parseDuration(name: string, value: string | number): number {
  if (typeof value !== "string" && typeof value !== "number")
    throw new TypeError(`${name} must be a duration such as "30s", got ${describe(value)}`);
  const [, digits, unit = ""] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(String(value)) ?? [];
  const ms = Number(digits) * (unitMs[unit] as number);
  if (!(ms >= 0 && ms <= longestMs))
    throw new RangeError(`${name} must be a duration from 0 to 24d such as "500ms", "30s" or "5m", got ${show(value)}`);
  return ms;
}

function show(value: string | number): string {
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}
