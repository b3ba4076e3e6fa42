/** The suite is judged here: it passes honest drivers, catches every broken one, and has no case that nothing broken needs. */
import { AssertionError } from "node:assert/strict";
import { describe, expect, it } from "vitest";
import { type ConformanceCase, type ConformanceSetup, cases, runCase } from "../../src/conformance/index.ts";
import type { LockDriver } from "../../src/index.ts";
import { brokenDrivers } from "./broken.ts";
import { type Broken, createWorld, Fault, honestDriver, type World } from "./faults.ts";
import { coarse, plain } from "./honest.ts";

/** Runs one case in a world of its own; resolves to what it rejected with. */
async function verdict(each: ConformanceCase, open: (world: World) => LockDriver): Promise<unknown> {
  const world = createWorld();
  const setup: ConformanceSetup = {
    create: () => open(world),
    countRecords: () => world.store.size + world.extraRecords,
    clock: world.clock,
  };
  const first = open(world);
  if (each.needs !== undefined && !each.needs(first.capabilities, setup)) return undefined;
  return runCase(each, setup, first, open(world)).then(
    () => undefined,
    (error: unknown) => error ?? new Error("rejected with nothing"),
  );
}

/** The cases of its rule that a broken driver fails, and how. */
async function caught({ rule, breaks }: Broken): Promise<Map<ConformanceCase, unknown>> {
  const failures = new Map<ConformanceCase, unknown>();
  for (const each of cases.filter((candidate) => candidate.rule === rule)) {
    const error = await verdict(each, (world) => breaks(honestDriver(world), world));
    if (error !== undefined) failures.set(each, error);
  }
  return failures;
}

const failures = new Map<Broken, ReturnType<typeof caught>>();
function failuresOf(broken: Broken): ReturnType<typeof caught> {
  const known = failures.get(broken) ?? caught(broken);
  failures.set(broken, known);
  return known;
}

describe("honest drivers pass", () => {
  for (const [name, open] of [
    ["the memory driver", honestDriver],
    ["a driver that keeps whole seconds", coarse],
    ["a driver with no more than it must have", plain],
  ] as const) {
    it(`${name} passes every case`, async () => {
      for (const each of cases) expect(await verdict(each, open), `${each.rule}: ${each.name}`).toBeUndefined();
    });
  }
});

describe("broken drivers are caught", () => {
  for (const broken of brokenDrivers) {
    it(`${broken.rule} catches a driver that ${broken.name}`, async () => {
      const found = await failuresOf(broken);
      expect(found.size).toBeGreaterThan(0);
      // By judgement, not because the fault itself is faulty.
      for (const error of found.values()) expect(error instanceof AssertionError || error instanceof Fault, String(error)).toBe(true);
    });
  }
});

describe("the cases", () => {
  it("have names of their own", () => {
    expect(new Set(cases.map(({ rule, name }) => `${rule} ${name}`)).size).toBe(cases.length);
    expect(new Set(brokenDrivers.map(({ rule, name }) => `${rule} ${name}`)).size).toBe(brokenDrivers.length);
  });

  it("are each needed to catch some broken driver", async () => {
    const needed = new Set<ConformanceCase>();
    for (const broken of brokenDrivers) for (const each of (await failuresOf(broken)).keys()) needed.add(each);
    expect(cases.filter((each) => !needed.has(each)).map(({ rule, name }) => `${rule}: ${name}`)).toEqual([]);
  });
});
