/** `dlock doctor`: whether the backend takes locks, how long that takes, and what its servers say about themselves. */
import { type Examination, findBackend, type LockProvider, parseBackendUrl, systemClock } from "@dlock/core";
import type { Command } from "commander";
import { jsonOption, urlOption } from "./arguments.js";
import { withProvider } from "./connect.js";
import { exitCodes } from "./exit-codes.js";
import { complain, name, note, print, printJson, table } from "./show.js";

interface DoctorOptions {
  readonly url: string;
  readonly json?: true;
}

/** How long the servers have to say something. */
const timeoutMs = 5_000;

export function addDoctor(program: Command): void {
  program
    .command("doctor")
    .description("find out whether locks can be taken, how long that takes, and what could lose them")
    .addOption(urlOption())
    .addOption(jsonOption())
    .action(async (options: DoctorOptions) => {
      process.exitCode = await doctor(options);
    });
}

async function doctor({ url, json }: DoctorOptions): Promise<number> {
  const { name: scheme, parsed } = parseBackendUrl("--url", url);
  const backend = await findBackend(scheme);
  // First: what a server says of itself often explains why it takes no locks.
  const servers = (await backend.examine?.(parsed, { timeoutMs })) ?? [];
  let problem: string | undefined;
  const times = await withProvider(url, measure).catch((error: Error) => {
    problem = error.message;
  });
  if (json) {
    const shown = servers.map(({ server, facts, warnings }) => ({ server, ...facts, warnings }));
    printJson({ backend: scheme, takesLocks: problem === undefined, problem, ...times, servers: shown });
  } else {
    if (times !== undefined) print(`${name(scheme)} takes locks: ping ${ms(times.pingMs)}, lock and unlock ${ms(times.lockMs)}`);
    for (const server of servers) show(server);
    if (problem !== undefined) complain(problem);
  }
  return problem === undefined ? exitCodes.ok : exitCodes.unavailable;
}

/** After a first round, which opens the connection and whatever else is done once. */
async function measure(locks: LockProvider): Promise<{ pingMs: number; lockMs: number }> {
  const ping = () => locks.ping();
  const lock = () => locks.withLock("dlock:doctor", () => {});
  await ping();
  await lock();
  return { pingMs: await took(ping), lockMs: await took(lock) };
}

async function took(run: () => Promise<unknown>): Promise<number> {
  const start = systemClock.now();
  await run();
  return Math.round((systemClock.now() - start) * 1_000) / 1_000;
}

function show({ server, facts, warnings }: Examination): void {
  print(`server ${name(server)}`);
  const rows = Object.entries(facts).map(([fact, value]) => ["", label(fact), fact.endsWith("Ms") ? ms(Number(value)) : word(value)]);
  for (const line of table(rows)) print(line);
  for (const warning of warnings) print(`  warning: ${note(warning)}`);
}

/** `roundTripMs` as `round trip`. */
function label(fact: string): string {
  return fact.replace(/Ms$/, "").replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

function word(value: string | number | boolean | undefined): string {
  if (value === undefined) return "unknown";
  return typeof value === "boolean" ? (value ? "yes" : "no") : note(String(value));
}

function ms(value: number): string {
  return `${Math.round(value * 100) / 100} ms`;
}
