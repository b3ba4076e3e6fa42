/** Any id, option or body of workflow locks: accepted, or refused with a typed error that names it; and afterwards nothing is held or waits. */
import { createLockManager, createLockProvider } from "@dlock/core";
import { createMemoryStore, memoryDriver } from "@dlock/memory";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { anyString, anything, expectDocumented, Made, objectOf, outcomeOf, type Some, someOf } from "../../core/test/fuzz/hostile.ts";
import { createWorkflowLocks, createWorkflowLocksFromConfig, type WorkflowLocks, workflowLocks } from "../src/index.ts";

const context = ["signal", "reentrant", "detached"];
const body = () => "done";

/** What is to be named when it is wrong, and the call. `options` are some of these names, or something else in their place. */
const calls: Record<string, { names: readonly string[]; call: (locks: WorkflowLocks, options: never) => unknown }> = {
  lockWorkflowExecution: { names: context, call: (locks, options) => locks.lockWorkflowExecution("e", options) },
  lockWorkflowTemplate: { names: [...context, "limit"], call: (locks, options) => locks.lockWorkflowTemplate("t", options) },
  runExecution: {
    names: [...context, "templateId", "templateLimit", "onConflict", "waitMs"],
    call: (locks, options) => locks.runExecution("e", options, body),
  },
};

function scene() {
  const store = createMemoryStore();
  const provider = createLockProvider(memoryDriver({ store }), { sweepIntervalMs: 0 });
  return { store, provider, locks: createWorkflowLocks(provider) };
}

async function expectAtRest({ store, provider }: ReturnType<typeof scene>, value: unknown): Promise<void> {
  const { unlock } = (value ?? {}) as { unlock?: () => Promise<unknown> };
  if (typeof unlock === "function") await Reflect.apply(unlock, value, []);
  const { active, waiting } = provider.stats();
  await provider.close();
  expect({ active, waiting, records: store.size }).toEqual({ active: 0, waiting: 0, records: 0 });
}

const optionsOf = (names: readonly string[]): fc.Arbitrary<Some | Made> =>
  fc.oneof({ weight: 6, arbitrary: someOf(names) }, { weight: 1, arbitrary: anything });
const givenOf = (options: Some | Made): unknown => (options instanceof Made ? options.make() : objectOf(options));
const namesOf = (options: Some | Made): string[] => (options instanceof Made ? ["options", "body"] : options.map(([name]) => name));

describe("any value", () => {
  test.each(Object.entries(calls))("for an option of %s is accepted or refused by name", async (_name, { names, call }) => {
    await fc.assert(
      fc.asyncProperty(optionsOf(names), async (options) => {
        const here = scene();
        const outcome = await outcomeOf(() => call(here.locks, givenOf(options) as never));
        if (!outcome.ok) expectDocumented(outcome.error, namesOf(options));
        await expectAtRest(here, outcome.ok ? outcome.value : undefined);
      }),
      { numRuns: 400 },
    );
  });

  const ids: Record<string, (locks: WorkflowLocks, id: never) => unknown> = {
    executionId: (locks, id) => locks.lockWorkflowExecution(id),
    templateId: (locks, id) => locks.lockWorkflowTemplate(id),
    "executionId of a run": (locks, id) => locks.runExecution(id, body),
    body: (locks, run) => locks.runExecution("e", run),
  };
  test.each(Object.entries(ids))("as %s is accepted or refused by name", async (name, call) => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(anyString, anything), async ({ make }) => {
        const here = scene();
        const outcome = await outcomeOf(() => call(here.locks, make() as never));
        if (!outcome.ok) expectDocumented(outcome.error, [name.split(" ")[0] as string]);
        await expectAtRest(here, outcome.ok ? outcome.value : undefined);
      }),
      { numRuns: 300 },
    );
  });

  test("for workflow locks as a whole is accepted or refused by name", async () => {
    const names = ["logger", "executionTtlMs", "templateTtlMs", "templateRetryCount", "templateRetryDelayMs", "instanceId"];
    await fc.assert(
      fc.asyncProperty(optionsOf(names), async (options) => {
        const { provider } = scene();
        const manager = createLockManager();
        manager.register("main", provider);
        for (const make of [
          () => createWorkflowLocks(provider, givenOf(options) as never),
          () => workflowLocks(manager, "main", givenOf(options) as never),
          () => createWorkflowLocksFromConfig({ provider: "memory" }, givenOf(options) as never),
        ]) {
          const outcome = await outcomeOf(make);
          if (!outcome.ok) expectDocumented(outcome.error, namesOf(options));
          else await (outcome.value as WorkflowLocks).close();
        }
        await manager.close();
      }),
      { numRuns: 300 },
    );
  });

  test("as a provider is refused by name", async () => {
    await fc.assert(
      fc.asyncProperty(anything, async ({ make }) => {
        const outcome = await outcomeOf(() => createWorkflowLocks(make() as never));
        if (!outcome.ok) expectDocumented(outcome.error, ["provider"]);
      }),
      { numRuns: 300 },
    );
  });
});
