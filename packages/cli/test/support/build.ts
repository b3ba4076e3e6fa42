/** Builds the command and the backends it loads, once before all tests. */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";

export default function build(): void {
  const root = fileURLToPath(new URL("../../../..", import.meta.url));
  const packages = ["cli", "memory", "mysql", "redis", "sqlite"].map((name) => `packages/${name}`);
  execFileSync(`${root}/node_modules/.bin/tsc`, ["-b", ...packages], { cwd: root, stdio: "inherit" });
  execFileSync("node_modules/.bin/rolldown", ["--config"], { cwd: `${root}/packages/cli`, stdio: "inherit" });
}
