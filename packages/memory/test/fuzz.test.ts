/** Any option of the driver, its store and its URL is used, or refused with a typed error that names it. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { anything, expectDocumented, outcomeOf } from "../../core/test/fuzz/hostile.ts";
import { backend } from "../src/backend.ts";
import { createMemoryStore, memoryDriver } from "../src/index.ts";

const call = { timeoutMs: 1_000 };
const claim = { key: "a", owner: "me", ttlMs: 1_000, mode: "exclusive" } as const;

test.each<[string, (value: never) => unknown]>([
  ["options", (value) => memoryDriver(value)],
  ["store", (store) => memoryDriver({ store })],
  ["clock", (clock) => memoryDriver({ clock })],
  ["options", (value) => memoryDriver({ store: createMemoryStore(value) })],
  ["clock", (clock) => memoryDriver({ store: createMemoryStore({ clock }) })],
])("any value as the %s makes a driver that works, or is refused by name", async (name, make) => {
  await fc.assert(
    fc.asyncProperty(anything, async (value) => {
      const outcome = await outcomeOf(() => make(value.make() as never));
      if (!outcome.ok) {
        expectDocumented(outcome.error, [name]);
        return;
      }
      const driver = outcome.value as ReturnType<typeof memoryDriver>;
      expect(await driver.acquire([claim], call)).toMatchObject([{ acquired: true }]);
      expect(await driver.release([{ key: "a", owner: "me" }], call)).toEqual([true]);
      await driver.close();
    }),
    { numRuns: 300 },
  );
});

test("any memory: URL makes a driver, or is refused with a RangeError", async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ maxLength: 20 }), async (rest) => {
      const url = new URL(`memory:${rest}`);
      const outcome = await outcomeOf(() => backend.fromUrl(url));
      if (outcome.ok) await (outcome.value as ReturnType<typeof memoryDriver>).close();
      else expect(outcome.error).toBeInstanceOf(RangeError);
    }),
    { numRuns: 300 },
  );
});
