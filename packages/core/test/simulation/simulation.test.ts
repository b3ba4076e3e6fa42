import { expect, test } from "vitest";
import { type Coverage, shrink, simulate } from "./simulate.ts";

/**
 * DLOCK_SEED replays one schedule; DLOCK_SCHEDULES asks for more of them than a test run needs, and then for another part of the space at every
 * run. The usual run is the same everywhere, so that a failure of it is a change's own.
 */
const only = process.env.DLOCK_SEED === undefined ? undefined : Number(process.env.DLOCK_SEED);
const schedules = Number(process.env.DLOCK_SCHEDULES ?? 20_000);
const first = only ?? (process.env.DLOCK_SCHEDULES === undefined ? 1 : Math.floor(Math.random() * 2 ** 31));

test("no random schedule makes two holders, a token that does not grow, a ghost or a starved waiter", {
  timeout: 24 * 3_600_000,
}, async () => {
  const total: Record<string, number> = {};
  for (let seed = first; seed < first + (only === undefined ? schedules : 1); seed++) {
    const { faults, log, coverage } = await simulate(seed);
    if (faults.length > 0) await tell(seed);
    else if (only !== undefined) console.log(log.join("\n"));
    expect(faults, `replay with DLOCK_SEED=${seed}`).toEqual([]);
    for (const [name, count] of Object.entries(coverage)) total[name] = (total[name] ?? 0) + count;
  }
  console.log(`simulated from seed ${first}:`, JSON.stringify(total));
  if (only !== undefined) return;
  const atLeast: Partial<Coverage> = {
    grants: 5,
    handOffs: 0.2,
    contended: 1,
    takeovers: 0.1,
    lostRequests: 0.5,
    lostReplies: 0.5,
    lateDeliveries: 0.5,
    slowReplies: 0.5,
    forgottenLeases: 0.01,
    lateGrants: 0.02,
    pausesPastTtl: 0.3,
    aborts: 0.1,
    losses: 0.2,
  };
  // Per schedule, on average: a run that contains none of them would prove nothing.
  for (const [name, least] of Object.entries(atLeast)) expect(total[name], name).toBeGreaterThan(least * schedules);
});

test("a seed replays exactly", async () => {
  const [one, other] = [await simulate(first), await simulate(first)];
  // Owners are random, and appear in messages; everything else follows from the seed.
  const plain = (log: readonly string[]) => log.map((line) => line.replaceAll(/[0-9a-f]{32}/g, "…"));
  expect(plain(one.log)).toEqual(plain(other.log));
  expect(one.coverage).toEqual(other.coverage);
});

async function tell(seed: number): Promise<void> {
  const { outcome, left, of } = await shrink(seed);
  console.log(`DLOCK_SEED=${seed} fails; ${left} of its ${of} steps suffice:\n${outcome.log.join("\n")}`);
}
