/** The locks of workflows on a backend of one process and on one of many, and what is said of wrong arguments. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Backend, createLockProvider } from "@dlock/core";
import { backend as memory, memoryDriver } from "@dlock/memory";
import { backend as sqlite } from "@dlock/sqlite";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { createWorkflowLocks } from "../src/index.ts";
import { errorOf, workflowSuite } from "./support/suite.ts";

const folder = mkdtempSync(join(tmpdir(), "dlock-workflow-"));
afterAll(() => rmSync(folder, { recursive: true }));
let tests = 0;
beforeEach(() => {
  tests++;
});

workflowSuite("memory", memory, () => `memory:workflow${tests}`);
workflowSuite("sqlite", sqlite, () => `sqlite:${join(folder, `${tests}.db`)}?synchronous=normal`);

// A server of your own, such as redis://localhost:6379, which must have no locks of workflows.
const own = process.env.DLOCK_TEST_URL;
if (own !== undefined) {
  const name = own.slice(0, own.indexOf(":"));
  const { backend } = (await import(`@dlock/${name}`)) as { backend: Backend };
  workflowSuite(name, backend, () => own);
}

describe("a wrong argument", () => {
  const locks = () => createWorkflowLocks(createLockProvider(memoryDriver(), { sweepIntervalMs: 0 }));
  const run = (options: unknown) => locks().runExecution("e", options as object, () => {});
  const create = async (options: unknown) =>
    createWorkflowLocks(createLockProvider(memoryDriver(), { sweepIntervalMs: 0 }), options as object);

  test.each<[string, () => Promise<unknown>, string]>([
    ["TypeError", () => locks().lockWorkflowExecution(""), 'executionId must be a string that is not empty, got ""'],
    [
      "TypeError",
      () => locks().lockWorkflowExecution(5 as never),
      "executionId must be a string that is not empty, got a value of type number",
    ],
    ["TypeError", () => locks().lockWorkflowTemplate(""), 'templateId must be a string that is not empty, got ""'],
    ["TypeError", () => locks().runExecution("", () => {}), 'executionId must be a string that is not empty, got ""'],
    ["TypeError", () => Reflect.apply(locks().runExecution, locks(), ["e"]), "body must be a function that takes the execution"],
    ["TypeError", () => locks().runExecution("e", {} as never), "body must be a function that takes the execution"],
    ["TypeError", () => locks().lockWorkflowExecution("e", null as never), "options must be an object, got null"],
    [
      "TypeError",
      () => locks().lockWorkflowExecution("e", { ttl: 5 } as never),
      "options.ttl is unknown: options takes signal, reentrant, detached",
    ],
    ["RangeError", () => locks().lockWorkflowTemplate("t", { limit: 0 }), "options.limit must be a number from 1 to 1000000, got 0"],
    ["RangeError", () => locks().lockWorkflowTemplate("t", { limit: 1.5 }), "options.limit must be a whole number, got 1.5"],
    ["TypeError", () => run({ templateLimit: 2 }), "options.templateLimit needs options.templateId"],
    ["RangeError", () => run({ templateId: "t", templateLimit: -1 }), "options.templateLimit must be a number from 1 to 1000000, got -1"],
    ["TypeError", () => run({ templateId: "" }), 'options.templateId must be a string that is not empty, got ""'],
    ["RangeError", () => run({ onConflict: "retry" }), 'options.onConflict must be "skip", "fail" or "wait"'],
    ["RangeError", () => run({ waitMs: Number.NaN }), "options.waitMs must be a number from 0 to 2147483647, got NaN"],
    ["TypeError", () => run({ reentrant: "yes" }), "options.reentrant must be true or false, got a string"],
    ["TypeError", () => create({ instanceId: "web-1" }), "options.instanceId is unknown: options takes logger, executionTtlMs"],
    ["RangeError", () => create({ executionTtlMs: 5 }), "options.executionTtlMs must be a number from 10 to 2147483647, got 5"],
    ["RangeError", () => create({ templateRetryCount: -1 }), "options.templateRetryCount must be a number from 0 to 2147483647, got -1"],
    ["TypeError", async () => createWorkflowLocks({} as never), "provider must be a LockProvider, such as createLockProvider(...) makes"],
  ])("is a %s that names it: %#", async (name, call, message) => {
    const error = (await errorOf(call())) as Error;
    expect(error.name).toBe(name);
    expect(error.message).toContain(message);
  });
});
