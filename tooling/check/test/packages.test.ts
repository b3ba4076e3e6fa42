/** The checks of manifests, of the public surface and of what is published, each shown what it must catch. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { manifests } from "../src/checks/manifests.ts";
import { published } from "../src/checks/published.ts";
import { surface } from "../src/checks/surface.ts";
import { checkout, faultsIn, manifestOf, withTools } from "./fixture.ts";

describe("manifests", () => {
  const faultsOf = (changes: Record<string, unknown>) =>
    faultsIn(manifests, { "packages/etcd/package.json": manifestOf("etcd", changes), "packages/etcd/src/index.ts": "export {};" });

  it("accepts the common shape", async () => {
    expect(await faultsOf({})).toEqual([]);
  });

  it.each([
    ["a missing field", { sideEffects: undefined }],
    ["a field that the others lack", { main: "./dist/index.js" }],
    ["another licence", { license: "ISC" }],
    ["an older engine", { engines: { node: ">=18" } }],
    ["exports without types", { exports: { ".": "./dist/index.js", "./package.json": "./package.json" } }],
    ["files that are not built", { files: ["src"] }],
    ["a private registry", { publishConfig: { access: "restricted" } }],
    ["a pinned sister package", { dependencies: { "@dlock/core": "0.1.0" } }],
    ["a dependency that is never published", { dependencies: { "@dlock-tooling/faults": "workspace:*" } }],
    ["a description that says nothing", { description: "etcd" }],
  ])("catches %s", async (_, changes) => {
    expect((await faultsOf(changes)).length).toBeGreaterThan(0);
  });

  it("catches a package without the licence", async () => {
    const files = { LICENSE: "MIT", "packages/etcd/package.json": manifestOf("etcd"), "packages/etcd/src/index.ts": "export {};" };
    expect(await faultsIn(manifests, files)).toEqual([expect.stringContaining("packages/etcd/LICENSE")]);
    expect(await faultsIn(manifests, { ...files, "packages/etcd/LICENSE": "MIT" })).toEqual([]);
  });

  it("catches a conformance folder that is not exported", async () => {
    const files = { "packages/etcd/package.json": manifestOf("etcd"), "packages/etcd/src/conformance/index.ts": "export {};" };
    expect(await faultsIn(manifests, files)).toHaveLength(1);
  });
});

describe("manifests of a package that is built into one file", () => {
  const files = (changes: Record<string, unknown>) => ({
    "packages/etcd/package.json": manifestOf("etcd", changes),
    "packages/etcd/src/index.ts": "export {};",
    "packages/etcd/rolldown.config.mjs": "export default {};",
  });
  const bundled = {
    exports: { ".": { types: "./dist/index.d.ts", default: "./dist/bundle/index.js" }, "./package.json": "./package.json" },
    scripts: { build: "tsc -b && rolldown --config", test: "vitest run" },
  };

  it("lead to that file", async () => {
    expect(await faultsIn(manifests, files(bundled))).toEqual([]);
  });

  it("do not lead past it", async () => {
    expect(await faultsIn(manifests, files({}))).toHaveLength(2);
  });
});

describe("surface", () => {
  const declarations = {
    "packages/etcd/package.json": manifestOf("etcd"),
    "packages/etcd/dist/index.d.ts":
      'export { etcdDriver as driver, type Options } from "./driver.js";\nexport type { Deep } from "./driver.js";\n',
    "packages/etcd/dist/driver.d.ts": `import type { Hidden } from "./hidden.js";
export type { Deep } from "./hidden.js";
/** What the driver takes; not shown. */
export interface Options {
    /** The server. */
    url: string; // with its port
}
export declare function etcdDriver(options: Options): Hidden;
export declare function etcdDriver(url: string): Hidden;
export declare class NotShown {
}
`,
    "packages/etcd/dist/hidden.d.ts": "export type Deep = {\n    a: 1;\n} | { b: 2 };\nexport interface Hidden {\n}\n",
  };

  it("shows each export with its declaration, sorted, without comments", async () => {
    const root = checkout(declarations);
    expect(await surface.run(root, { update: true })).toEqual([]);
    expect(readFileSync(join(root, "packages/etcd/api.txt"), "utf8")).toBe(`# @dlock/etcd

export type Deep = {
    a: 1;
} | { b: 2 };

export interface Options {
    url: string;
}

export declare function etcdDriver(options: Options): Hidden;
export declare function etcdDriver(url: string): Hidden;
export { etcdDriver as driver };
`);
    expect(await surface.run(root, { update: false })).toEqual([]);
  });

  it("catches a surface that is not the one written down, and names the first line that differs", async () => {
    const faults = await faultsIn(surface, { ...declarations, "packages/etcd/api.txt": "# @dlock/etcd\n\nexport type Deep = 1;\n" });
    expect(faults).toEqual([expect.stringMatching(/api\.txt.*line 3/)]);
  });

  it("catches a package whose surface was never written down", async () => {
    expect(await faultsIn(surface, declarations)).toHaveLength(1);
  });

  it("catches an export of everything, which it could not list", async () => {
    const files = { ...declarations, "packages/etcd/dist/index.d.ts": 'export * from "./driver.js";\n' };
    expect(await faultsIn(surface, files, true)).toEqual([expect.stringContaining("cannot tell what this exports")]);
  });
});

describe("publint and attw", () => {
  const files = { "package.json": "{}", "packages/etcd/README.md": "# etcd", "packages/etcd/dist/index.js": "export const a = 1;\n" };
  const manifest = { "packages/etcd/package.json": manifestOf("etcd", { dependencies: undefined }) };

  it("catches types that are promised and not packed", async () => {
    const faults = await published.run(withTools(checkout({ ...files, ...manifest })), { update: false });
    expect(faults).toEqual([expect.stringMatching(/publint: [\s\S]*index\.d\.ts/)]);
  });

  it("catches types of CommonJS beside a module", async () => {
    const wrong = manifestOf("etcd", {
      dependencies: undefined,
      exports: { ".": { types: "./dist/index.d.cts", default: "./dist/index.js" } },
    });
    const cjs = { "packages/etcd/package.json": wrong, "packages/etcd/dist/index.d.cts": "export declare const a: 1;\n" };
    const faults = await published.run(withTools(checkout({ ...files, ...cjs })), { update: false });
    expect(faults.join("\n")).toContain("attw");
  });
});
