/** `node tooling/services/dist/ensure.js [redis] [mysql] [etcd]`: installs the servers that the tests need, or says what to install. */
import { ensureInstalled, type ServiceName } from "./install.js";

const known: readonly ServiceName[] = ["redis", "mysql", "etcd"];
const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !known.some((service) => service === name));

try {
  if (unknown.length > 0) throw new Error(`unknown service ${unknown.join(", ")}; known are ${known.join(", ")}`);
  ensureInstalled(asked.length === 0 ? known : known.filter((service) => asked.includes(service)));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
