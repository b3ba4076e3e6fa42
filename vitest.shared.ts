// Shared by every package's vitest.config.ts: tests run against the sources of all packages, so that no stale build can pass or fail them.
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const source = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const packages = ["core", "memory", "sqlite", "redis", "mysql", "etcd", "workflow", "cli"];
const tooling = ["services", "faults"];

export default defineConfig({
  resolve: {
    alias: [
      { find: /^@dlock\/core\/conformance$/, replacement: source("packages/core/src/conformance/index.ts") },
      ...packages.map((name) => ({ find: new RegExp(`^@dlock/${name}$`), replacement: source(`packages/${name}/src/index.ts`) })),
      ...tooling.map((name) => ({ find: new RegExp(`^@dlock-tooling/${name}$`), replacement: source(`tooling/${name}/src/index.ts`) })),
    ],
  },
  test: {
    include: ["test/**/*.test.ts"],
    // Two cores: more workers only make the clocks of timing tests less honest.
    maxWorkers: 2,
    testTimeout: 20_000,
    reporters: ["default", "json"],
    outputFile: { json: ".results/vitest.json" },
  },
});
