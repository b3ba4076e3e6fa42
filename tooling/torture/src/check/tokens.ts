/** Tokens: each greater than those of all earlier holders that it excludes, and no two the same. */
import { type Hold, wasBelieved, wasStepped } from "./holds.js";

/**
 * @param holds of one key, in the order of their beginning.
 * @param forward when the server's clock went forward: a lease may have ended before its grant was heard of, so the later grant was heard first.
 * Returns a line for each fault.
 */
export function checkTokens(holds: readonly Hold[], forward: readonly number[]): string[] {
  const faults: string[] = [];
  const seen = new Map<bigint, Hold>();
  let newest: Hold | undefined;
  let newestExclusive: Hold | undefined;
  for (const hold of holds.filter(wasBelieved)) {
    const same = seen.get(hold.token);
    if (same !== undefined) faults.push(`${hold.process} and ${same.process} were granted ${hold.key} with the same token ${hold.token}`);
    seen.set(hold.token, hold);
    // Shared holders come in any order among themselves.
    const before = hold.mode === "exclusive" ? newest : newestExclusive;
    if (before !== undefined && hold.token < before.token && !wasStepped(hold, hold.from, forward))
      faults.push(`${hold.process} was granted ${hold.key} with token ${hold.token} after ${before.process} had ${before.token}`);
    if (newest === undefined || hold.token > newest.token) newest = hold;
    if (hold.mode === "exclusive" && (newestExclusive === undefined || hold.token > newestExclusive.token)) newestExclusive = hold;
  }
  return faults;
}
