import { describe, expect, test } from "vitest";
import type { Outcome } from "../simulation/simulate.ts";
import { type Mutation, makeMutant } from "./mutate.ts";
import { mutations } from "./mutations.ts";

/** How many schedules the simulator may need for a fault. The seeds are the same at each run: a fault that is found today is found tomorrow. */
const budget = Number(process.env.DLOCK_SCHEDULES ?? 3_000);

interface Search {
  readonly schedules: number;
  readonly seed: number | undefined;
  readonly faults: readonly string[];
}

async function search(mutation: Mutation | undefined, schedules: number): Promise<Search> {
  const mutant = await makeMutant(mutation);
  try {
    const { from = 1 } = mutation ?? {};
    for (let seed = from; seed < from + schedules; seed++) {
      const { faults } = await mutant.simulate(seed).catch(thrown);
      if (faults.length > 0) return { schedules: seed - from + 1, seed, faults };
    }
    return { schedules, seed: undefined, faults: [] };
  } finally {
    mutant.remove();
  }
}

function thrown(error: unknown): Pick<Outcome, "faults"> {
  return { faults: [`thrown: ${error}`] };
}

describe("the simulator", () => {
  test("finds no fault in a copy of core as it is", { timeout: 120_000 }, async () => {
    expect(await search(undefined, 300)).toMatchObject({ schedules: 300, faults: [] });
  });

  test.each(mutations)("finds that $name", { timeout: 120_000 }, async (mutation) => {
    const { faults, schedules, seed } = await search(mutation, budget);
    console.log(`${mutation.name}: found by seed ${seed}, after ${schedules} schedules: ${faults[0]}`);
    expect(faults, `none of ${budget} schedules finds it`).not.toEqual([]);
  });
});
