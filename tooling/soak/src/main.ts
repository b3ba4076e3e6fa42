/** Locks of every kind for an hour, and a verdict on the heap. Exits with 0 for flat, else with 1. */
import { randomBytes } from "node:crypto";
import { createLockProviderFromUrl } from "@dlock/core";
import { type EtcdCluster, type Service, startEtcd, startMysql, startRedis } from "@dlock-tooling/services";
import { Churn } from "./churn.js";
import { type BackendName, type CommandLine, parseOptions, usage } from "./options.js";
import { soak } from "./soak.js";
import { fewestSamples, trendOf } from "./trend.js";

try {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) console.log(usage);
  else process.exitCode = (await run(options)) ? 0 : 1;
} catch (error) {
  console.error("soak:", error);
  process.exitCode = 1;
}

async function run({ backend, url: given, durationMs, rate, sampleEveryMs }: CommandLine): Promise<boolean> {
  const interrupt = new AbortController();
  process.once("SIGINT", () => interrupt.abort()).once("SIGTERM", () => interrupt.abort());
  const warnings: string[] = [];
  process.on("warning", (warning) => warnings.push(`${warning.name}: ${warning.message}`));
  const { url, stop } = backend === undefined ? { url: given, stop: async () => {} } : await startServer(backend);
  const scheme = new URL(url).protocol.slice(0, -1);
  console.log(`${scheme}: ${rate} operations a second for ${durationMs / 60_000} min, Node ${process.versions.node}\n`);
  console.log("     time   operations    heap KiB     rss KiB");
  const churn = new Churn(() => createLockProviderFromUrl(url), `soak-${randomBytes(4).toString("hex")}`);
  try {
    const samples = await soak(churn, {
      durationMs,
      sampleEveryMs,
      rate,
      signal: interrupt.signal,
      onSample: ({ atMs, operations, heapBytes, rssBytes }) =>
        console.log(
          [`${(atMs / 60_000).toFixed(2)} min`, operations, kib(heapBytes), kib(rssBytes)]
            .map((cell) => String(cell).padStart(11))
            .join(" "),
        ),
    });
    // The compiler's code and the first sizes of tables belong to the warming up.
    const settled = samples.slice(Math.ceil(samples.length / 6));
    console.log(`\n${[...churn.counts].map(([kind, count]) => `${count} ${kind}`).join(", ")}`);
    console.log(`warnings of the process: ${warnings.join("; ") || "none"}`);
    if (settled.length < fewestSamples)
      throw new Error(`too short: ${settled.length} readings, ${fewestSamples} are needed after the warming up`);
    const { slope, least, most, growth, leastGrowth, flat } = trendOf(settled);
    console.log(`heap: ${slope.toFixed(3)} bytes for each operation (99 %: ${least.toFixed(3)} to ${most.toFixed(3)})`);
    console.log(`in all ${percent(growth)}, at least ${percent(leastGrowth)}`);
    const passed = flat && warnings.length === 0;
    console.log(passed ? "flat" : flat ? "flat, with warnings" : "GROWS");
    return passed;
  } finally {
    await stop();
  }
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

function kib(bytes: number): number {
  return Math.round(bytes / 1_024);
}

async function startServer(backend: BackendName): Promise<{ url: string; stop(): Promise<void> }> {
  if (backend === "redis") return startRedis();
  if (backend === "mysql") return startMysql();
  const { members }: EtcdCluster = await startEtcd();
  const member = members[0] as Service;
  return { url: `etcd://${member.host}:${member.port}`, stop: () => member.stop() };
}
