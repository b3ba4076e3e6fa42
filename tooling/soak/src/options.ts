/** The command line of the soak. */
import { parseArgs } from "node:util";

export const backends = ["redis", "mysql", "etcd"] as const;
export type BackendName = (typeof backends)[number];

export const usage = `npm run soak -- [--url URL | --backend NAME] [--minutes N] [--rate N] [--sample SECONDS]

  --url URL         where the locks are (default: memory:soak)
  --backend NAME    starts a server of its own: ${backends.join(", ")}
  --minutes N       how long, from 0.05 to 10080 (default: 60)
  --rate N          operations begun in a second, 1 to 20000 (default: 300)
  --sample N        seconds between readings of the heap, 0.2 to 3600 (default: 60)`;

export interface CommandLine {
  readonly url: string;
  readonly backend: BackendName | undefined;
  readonly durationMs: number;
  readonly rate: number;
  readonly sampleEveryMs: number;
  readonly help: boolean;
}

/** @throws Error that says what is wrong. */
export function parseOptions(args: readonly string[]): CommandLine {
  const { values } = parseArgs({
    args: [...args],
    options: {
      url: { type: "string" },
      backend: { type: "string" },
      minutes: { type: "string", default: "60" },
      rate: { type: "string", default: "300" },
      sample: { type: "string", default: "60" },
      help: { type: "boolean", default: false },
    },
  });
  const backend = backends.find((name) => name === values.backend);
  if (values.backend !== undefined && backend === undefined) throw new Error(`--backend must be one of ${backends.join(", ")}`);
  if (values.url !== undefined && backend !== undefined) throw new Error("--url and --backend exclude each other");
  return {
    url: values.url ?? "memory:soak",
    backend,
    durationMs: number("--minutes", values.minutes, 0.05, 10_080) * 60_000,
    rate: number("--rate", values.rate, 1, 20_000),
    sampleEveryMs: number("--sample", values.sample, 0.2, 3_600) * 1_000,
    help: values.help,
  };
}

function number(name: string, value: string, least: number, most: number): number {
  const parsed = Number(value);
  if (!(parsed >= least && parsed <= most)) throw new Error(`${name} must be a number from ${least} to ${most}`);
  return parsed;
}
