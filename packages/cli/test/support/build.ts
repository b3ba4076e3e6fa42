/** Builds the command and the backends it loads, once before all tests. */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";

export default function build(): void {
  const root = fileURLToPath(new URL("../../../..", import.meta.url));
  const tsc = `${root}/node_modules/.bin/tsc`;
  execFileSync(tsc, ["-b", ...["cli", "memory", "mysql", "redis", "sqlite"].map((name) => `packages/${name}`)], {
    cwd: root,
    stdio: "inherit",
  });
}
