/** Hands the cases to a test runner. */
import type { LockDriver } from "../driver.js";
import { cases } from "./cases.js";
import { Context } from "./context.js";
import type { ConformanceCase, ConformanceRunner, ConformanceSetup } from "./types.js";

/**
 * Defines one test for each conformance case, named `R3: a sentence in the present`. A case that needs what the backend does not declare is
 * skipped with that reason.
 *
 * @param runner the test runner's functions; pass Vitest's `it.concurrent` as `concurrent` to share the waiting.
 * @param setup how to make clients of the store under test.
 */
export function runConformance(runner: ConformanceRunner, setup: ConformanceSetup): void {
  let clients: Promise<[LockDriver, LockDriver]> | undefined;
  const open = () => {
    // Not before a test runs: the server may be started by the runner's own set-up.
    clients ??= Promise.resolve().then(async () => [await setup.create(), await (setup.createSecond ?? setup.create).call(setup)]);
    return clients;
  };

  runner.describe("conformance", () => {
    runner.afterAll(async () => {
      if (clients === undefined) return;
      for (const client of await clients) await client.close();
    });
    const beside = cases.filter((each) => each.alone !== true);
    const alone = cases.filter((each) => each.alone === true);
    const define = (test: ConformanceRunner["it"], each: ConformanceCase) =>
      test(`${each.rule}: ${each.name}`, async (running) => {
        const [first, second] = await open();
        if (each.needs !== undefined && !each.needs(first.capabilities, setup)) {
          running.skip("the backend does not declare what this case needs");
          return;
        }
        await runCase(each, setup, first, second);
      });
    for (const each of beside) define(runner.concurrent ?? runner.it, each);
    for (const each of alone) define(runner.it, each);
  });
}

/** Runs one case with two open clients; rejects when the driver breaks its rule. */
export async function runCase(each: ConformanceCase, setup: ConformanceSetup, first: LockDriver, second: LockDriver): Promise<void> {
  const context = new Context(setup, first, second);
  try {
    await each.run(context);
  } finally {
    await context.end();
  }
}
