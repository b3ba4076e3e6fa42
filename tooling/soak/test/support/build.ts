/** Builds the programs and the backends they use, once before all tests. */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";

export default function build(): void {
  const root = fileURLToPath(new URL("../../../..", import.meta.url));
  execFileSync(`${root}/node_modules/.bin/tsc`, ["-b", "tooling/soak"], { cwd: root, stdio: "inherit" });
}
