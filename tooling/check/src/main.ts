/** `npm run check`: runs every check, prints all that is wrong, and fails if anything is. Names of checks as arguments run only those. */
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { boundaries } from "./checks/boundaries.js";
import { examples } from "./checks/examples.js";
import { headers } from "./checks/headers.js";
import { leftovers } from "./checks/leftovers.js";
import { links } from "./checks/links.js";
import { manifests } from "./checks/manifests.js";
import { namedExports } from "./checks/named-exports.js";
import { namedTests } from "./checks/named-tests.js";
import { published } from "./checks/published.js";
import { surface } from "./checks/surface.js";

const checks = [boundaries, manifests, namedExports, surface, headers, leftovers, links, namedTests, examples, published];
const root = fileURLToPath(new URL("../../..", import.meta.url));
const { values, positionals } = parseArgs({ allowPositionals: true, options: { update: { type: "boolean", default: false } } });
const unknown = positionals.filter((name) => !checks.some((check) => check.name === name));
if (unknown.length > 0) {
  console.error(`no such check: ${unknown.join(", ")}; there are ${checks.map(({ name }) => name).join(", ")}`);
  process.exit(2);
}

let failed = 0;
for (const check of checks) {
  if (positionals.length > 0 && !positionals.includes(check.name)) continue;
  const faults = await check.run(root, { update: values.update });
  console.log(`${faults.length === 0 ? "fine" : "WRONG"}  ${check.name}`);
  for (const fault of faults) console.error(`  ${fault}`);
  failed += faults.length;
}
if (failed > 0) console.error(`${failed} faults`);
process.exit(failed === 0 ? 0 : 1);
