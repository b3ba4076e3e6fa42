/** Where backends come from when nobody registered them. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BackendNotInstalledError, createLockProviderFromUrl } from "@dlock/core";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

describe("a backend that is not registered", () => {
  const program = process.argv[1];
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "dlock-registry-"));
    process.argv[1] = join(folder, "program.js");
  });

  afterEach(() => {
    process.argv[1] = program as string;
    rmSync(folder, { recursive: true });
  });

  test("is loaded from beside the program when core cannot see its package", async () => {
    const home = join(folder, "node_modules/@dlock/beside");
    mkdirSync(home, { recursive: true });
    writeFileSync(join(home, "package.json"), JSON.stringify({ name: "@dlock/beside", type: "module", exports: "./index.js" }));
    writeFileSync(join(home, "index.js"), 'export const backend = { fromUrl(url) { throw new RangeError("found: " + url) } };');
    await expect(createLockProviderFromUrl("beside:here")).rejects.toThrow("found: beside:here");
  });

  test("is named, with what to install, when no package is found", async () => {
    const error = await createLockProviderFromUrl("absent:").catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(BackendNotInstalledError);
    expect(error).toHaveProperty("code", "DLOCK_BACKEND_NOT_INSTALLED");
    expect((error as Error).message).toContain("npm install @dlock/absent");
  });
});
