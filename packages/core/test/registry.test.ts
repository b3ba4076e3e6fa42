/** Where backends come from when nobody registered them. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BackendNotInstalledError, createLockProviderFromUrl, findBackend, parseBackendUrl, registerBackend } from "@dlock/core";
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

test("a tool finds the backend of a URL, under the name that its schemes share, and gets the URL without the provider's parameters", async () => {
  const backend = { fromUrl: () => Promise.reject(new Error("not asked")), schemaSql: () => "CREATE TABLE" };
  registerBackend("mysql", backend);
  const { name, parsed, fromUrl } = parseBackendUrl("--url", "mariadb://host/app?ttl=5s&table=t");
  expect([name, parsed.href, fromUrl]).toEqual(["mysql", "mariadb://host/app?table=t", { ttlMs: 5_000 }]);
  expect(await findBackend(name)).toBe(backend);
  expect(() => parseBackendUrl("--url", "mysql://me:se/cret@host")).toThrow(/^--url must be a URL(?!.*cret)/);
});
