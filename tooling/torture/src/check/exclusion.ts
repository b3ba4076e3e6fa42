/** Told late: someone still believed to hold a lock when another was granted it. */
import { clockErrorMs, type Hold, wasBelieved } from "./holds.js";

/** @param holds of one key, in the order of their beginning. Returns a line for each fault. */
export function checkExclusion(holds: readonly Hold[]): string[] {
  const faults: string[] = [];
  let believed: Hold[] = [];
  for (const hold of holds.filter(wasBelieved)) {
    believed = believed.filter(({ until }) => until > hold.from + clockErrorMs);
    const excluding = believed.find(({ mode }) => mode === "exclusive" || hold.mode === "exclusive");
    if (excluding !== undefined) {
      const overlapMs = Math.min(excluding.until, hold.until) - hold.from;
      faults.push(
        `${hold.process} was granted ${hold.key} (${hold.mode}, token ${hold.token}) while ${excluding.process} believed to hold it ` +
          `(${excluding.mode}, token ${excluding.token}) for ${overlapMs.toFixed(1)} ms more`,
      );
    }
    // A limit concerns those granted before; the news of a later grant may travel faster.
    const earlier = believed.filter(({ mode, token }) => mode === "shared" && token < hold.token).length;
    if (hold.limit !== undefined && earlier >= hold.limit) {
      faults.push(`${hold.process} was granted ${hold.key} (token ${hold.token}) as holder ${earlier + 1}, and the limit is ${hold.limit}`);
    }
    believed.push(hold);
  }
  return faults;
}
