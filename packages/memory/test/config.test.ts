/** Memory locks from a configuration. */
import { createLockProviderFromConfig, type LockConfig, registerBackend } from "@dlock/core";
import { expect, test } from "vitest";
import { backend } from "../src/index.ts";

registerBackend("memory", backend);

test.each<[LockConfig, boolean]>([
  [{ provider: "memory" }, false],
  [{ provider: "memory", memory: {} }, false],
  [{ provider: "memory", memory: { url: "memory:" } }, false],
  [{ provider: "memory", memory: { url: "memory:shared" } }, true],
])("%j makes a provider; two exclude each other: %s", async (config, excludes) => {
  await using one = await createLockProviderFromConfig(config);
  await using other = await createLockProviderFromConfig(config);
  await one.withLock("key", async () => {
    expect((await other.tryWithLock("key", () => {})).acquired).toBe(!excludes);
  });
});

test.each<[object, string]>([
  [{ name: "shared" }, "config.memory.name is unknown: config.memory takes url"],
  [{ url: "memory:?size=5" }, 'config.memory: unknown parameter "size" in a memory: URL, which takes none'],
])("the section %j is refused: %s", async (memory, message) => {
  await expect(createLockProviderFromConfig({ provider: "memory", memory })).rejects.toThrow(message);
});
