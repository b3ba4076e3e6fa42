/** Builds the demo and the backends it uses, once before all tests. */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const backends = ["sqlite", "redis", "mysql", "etcd"].map((name) => `packages/${name}`);

export default function build(): void {
  const root = fileURLToPath(new URL("../../../..", import.meta.url));
  execFileSync(`${root}/node_modules/.bin/tsc`, ["-b", "tooling/demo", ...backends], { cwd: root, stdio: "inherit" });
}
