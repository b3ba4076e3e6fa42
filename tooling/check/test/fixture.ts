/** Small checkouts that are wrong in one respect, made for one test each. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import type { Check } from "../src/workspace.ts";

/** What `check` finds in a checkout that holds these files. */
export async function faultsIn(check: Check, files: Readonly<Record<string, string>>, update = false): Promise<readonly string[]> {
  return check.run(checkout(files), { update });
}

/** Makes the checkout; gone after the test. */
export function checkout(files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(tmpdir(), "dlock-check-"));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  for (const [file, text] of Object.entries(files)) {
    const path = join(root, file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
  return root;
}

/** Gives a checkout the tools of this one. */
export function withTools(root: string): string {
  symlinkSync(fileURLToPath(new URL("../../../node_modules", import.meta.url)), join(root, "node_modules"));
  return root;
}

/** A manifest as every package has it, with some fields replaced; those set to undefined are left out. */
export function manifestOf(name: string, changes: Readonly<Record<string, unknown>> = {}): string {
  return JSON.stringify({
    name: `@dlock/${name}`,
    version: "1.0.0",
    description: "dlock backend over something for a test",
    license: "MIT",
    type: "module",
    sideEffects: false,
    keywords: ["lock", "mutex", name],
    repository: { type: "git", url: "git+https://github.com/dlock/dlock.git", directory: `packages/${name}` },
    exports: { ".": { types: "./dist/index.d.ts", default: "./dist/index.js" }, "./package.json": "./package.json" },
    files: ["dist", "src", "!dist/.tsbuildinfo", "README.md"],
    engines: { node: ">=20" },
    publishConfig: { access: "public" },
    scripts: { build: "tsc -b", test: "vitest run" },
    dependencies: { "@dlock/core": "workspace:^" },
    ...changes,
  });
}
