/** `dlock run`: a command that runs only while the lock is held and renewed. */
import { basename } from "node:path";
import { type Lock, LockNotAcquiredError, type LockOptions, type LockProvider, LockTimeoutError } from "@dlock/core";
import { type Command, Option } from "commander";
import { duration, urlOption, wholeNumber } from "./arguments.js";
import { Child } from "./child.js";
import { withProvider } from "./connect.js";
import { exitCodes } from "./exit-codes.js";
import { complain, describeHolder, name, span } from "./show.js";
import { exitCodeOfSignal, Signals } from "./signals.js";

interface RunOptions {
  readonly url: string;
  readonly ttl?: number;
  readonly wait?: number;
  readonly limit?: number;
  readonly grace: number;
}

export function addRun(program: Command): void {
  program
    .command("run")
    .description("run a command while the lock is held")
    .argument("<key>", "what to lock")
    .argument("<command...>", "the command and its arguments, after --")
    .addOption(urlOption())
    .option("--ttl <duration>", "how long the lock outlives this process if it is killed (default: 30s)", duration)
    .option("--wait <duration>", "how long to wait for the lock; 0 tries once (default: 10s)", duration)
    .option("--limit <n>", "let up to n holders in at a time (default: one)", wholeNumber)
    .addOption(
      new Option("--grace <duration>", "after a loss: the time from SIGTERM to SIGKILL").argParser(duration).default(10_000, "10s"),
    )
    .action(async (key: string, command: string[], options: RunOptions) => {
      process.exitCode = await run(key, command, options);
    });
}

async function run(key: string, command: readonly string[], options: RunOptions): Promise<number> {
  const signals = new Signals();
  return withProvider(options.url, async (locks) => {
    const lock = await acquire(locks, key, lockOptions(command, options, signals));
    if (typeof lock === "number") return lock;
    // No await from here to the start: a signal that came with the grant must not start the command, a later one must reach it.
    const exitCode = signals.ending.aborted
      ? exitCodeOfSignal(signals.ending.reason)
      : await runUnder(lock, command, signals, options.grace);
    const held = await lock.unlock().catch((error: Error) => {
      complain(`${error.message}; the lock ends with its TTL`);
      return true;
    });
    if (held || exitCode !== exitCodes.ok) return exitCode;
    // Lost without a renewal that could have told in time.
    complain(`the lock ${name(key)} was lost before ${name(command[0] ?? "")} ended: its work may have overlapped with another's`);
    return exitCodes.lost;
  });
}

function lockOptions([command = ""]: readonly string[], { ttl, wait, limit }: RunOptions, signals: Signals): LockOptions {
  return {
    signal: signals.ending,
    // The name alone: arguments may hold secrets, and whoever reads the backend reads this.
    metadata: `pid ${process.pid}: ${basename(command).slice(0, 200)}`,
    ...(ttl === undefined ? {} : { ttlMs: ttl }),
    ...(wait === undefined ? {} : { waitMs: wait }),
    ...(limit === undefined ? {} : { mode: "shared", limit }),
  };
}

/** The lock, or the exit code that says why there is none. */
async function acquire(locks: LockProvider, key: string, options: LockOptions): Promise<Lock | number> {
  try {
    return await locks.lock(key, options);
  } catch (error) {
    if (options.signal?.aborted) return exitCodeOfSignal(options.signal.reason);
    if (!(error instanceof LockTimeoutError || error instanceof LockNotAcquiredError)) throw error;
    complain(`${name(key)} is held by ${error.holder === undefined ? "another" : describeHolder(error.holder)}`);
    return exitCodes.held;
  }
}

/** Runs the command to its end, which comes early when the lock is lost. */
async function runUnder(lock: Lock, [command = "", ...args]: readonly string[], signals: Signals, graceMs: number): Promise<number> {
  const environment = { ...process.env, DLOCK_KEY: lock.key, DLOCK_OWNER: leaseOwner(lock), DLOCK_TOKEN: String(lock.token) };
  const child = new Child(command, args, environment);
  signals.passTo((signal) => child.signal(signal));
  const onLost = () => {
    complain(`the lock ${name(lock.key)} was lost: ending ${name(command)}, at the latest in ${span(graceMs)}`);
    child.end(graceMs);
  };
  if (lock.signal.aborted) onLost();
  else lock.signal.addEventListener("abort", onLost);
  const exitCode = await child.ended;
  lock.signal.removeEventListener("abort", onLost);
  return exitCode;
}

/** The owner that `dlock inspect` shows and `dlock unlock` takes: a handle's also counts the hand-offs inside a process, of which there are none. */
function leaseOwner(lock: Lock): string {
  return lock.owner.replace(/#0$/, "");
}
