/** `memory:` URLs. */
import type { LockDriver } from "@dlock/core";
import { expect, it } from "vitest";
import { backend } from "../src/index.ts";

async function takes(driver: LockDriver, owner: string): Promise<boolean> {
  const [result] = await driver.acquire([{ key: "k", owner, ttlMs: 1_000, mode: "exclusive" }], { timeoutMs: 1_000 });
  return result !== undefined && !(result instanceof Error) && result.acquired;
}

it("memory: is a store of its own each time", async () => {
  expect(await takes(backend.fromUrl(new URL("memory:")), "a")).toBe(true);
  expect(await takes(backend.fromUrl(new URL("memory:")), "b")).toBe(true);
});

it("memory:name is one store in the whole process", async () => {
  expect(await takes(backend.fromUrl(new URL("memory:jobs")), "a")).toBe(true);
  expect(await takes(backend.fromUrl(new URL("memory:jobs")), "b")).toBe(false);
  expect(await takes(backend.fromUrl(new URL("memory://jobs")), "b")).toBe(false);
  expect(await takes(backend.fromUrl(new URL("memory:other")), "b")).toBe(true);
});

it("a parameter it does not know is refused by name", () => {
  expect(() => backend.fromUrl(new URL("memory:jobs?size=3"))).toThrow(
    new RangeError('unknown parameter "size" in a memory: URL, which takes none'),
  );
});
