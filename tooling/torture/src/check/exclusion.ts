/** Told late: someone still believed to hold a lock when another was granted it. */
import { clockErrorMs, type Hold, wasBelieved, wasStepped } from "./holds.js";

export interface ToldLate {
  readonly faults: readonly string[];
  /** Of those whose server's clock went forward meanwhile, so that it did not keep the lease for its TTL: nobody can be told of that in time. */
  readonly byClock: readonly string[];
}

/**
 * @param holds of one key, in the order of their beginning.
 * @param forward when the server's clock went forward. Each of the results has a line for each time that someone was told late.
 */
export function checkExclusion(holds: readonly Hold[], forward: readonly number[]): ToldLate {
  const faults: string[] = [];
  const byClock: string[] = [];
  const add = (victims: readonly Hold[], at: number, fault: string) => {
    (victims.some((hold) => wasStepped(hold, at, forward)) ? byClock : faults).push(fault);
  };
  let believed: Hold[] = [];
  for (const hold of holds.filter(wasBelieved)) {
    believed = believed.filter(({ until }) => until > hold.from + clockErrorMs);
    const excluding = believed.find(({ mode }) => mode === "exclusive" || hold.mode === "exclusive");
    if (excluding !== undefined) {
      const overlapMs = Math.min(excluding.until, hold.until) - hold.from;
      add(
        [excluding],
        hold.from,
        `${hold.process} was granted ${hold.key} (${hold.mode}, token ${hold.token}) while ${excluding.process} believed to hold it ` +
          `(${excluding.mode}, token ${excluding.token}) for ${overlapMs.toFixed(1)} ms more`,
      );
    }
    // A limit concerns those granted before; the news of a later grant may travel faster.
    const earlier = believed.filter(({ mode, token }) => mode === "shared" && token < hold.token);
    if (hold.limit !== undefined && earlier.length >= hold.limit) {
      const nth = earlier.length + 1;
      add(
        earlier,
        hold.from,
        `${hold.process} was granted ${hold.key} (token ${hold.token}) as holder ${nth}, and the limit is ${hold.limit}`,
      );
    }
    believed.push(hold);
  }
  return { faults, byClock };
}
