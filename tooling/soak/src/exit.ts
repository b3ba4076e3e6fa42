/**
 * A process that comes to some state, meets with some accident, calls close() and should then end by itself. `node dist/exit.js URL STATE
 * ACCIDENT PID` prints what it saw as JSON; PID is the server's, for the accident.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { createLockProviderFromUrl, type LockProvider } from "@dlock/core";

export interface ExitReport {
  /** How long close() took, and how long the process went on after that. */
  readonly closedMs: number;
  readonly lingeredMs: number;
  /** How the calls under way ended: error codes, or "ok". */
  readonly calls: readonly string[];
}

type Calls = Promise<unknown>[];

/** What a process before this one held may still be held. */
const key = (name: string) => `exit ${process.pid} ${name}`;

/** Each returns the calls that are under way when close() comes. `other` is another provider over the same backend, closed at the same time. */
export const states: Readonly<Record<string, (locks: LockProvider, other: LockProvider) => Promise<Calls>>> = {
  "never used": async () => [],
  idle: async (locks) => {
    await (await locks.lock(key("a"))).unlock();
    return [];
  },
  holding: async (locks) => {
    for (let i = 0; i < 5; i++) (await locks.lock(key(`held ${i}`))).signal.addEventListener("abort", () => {});
    await locks.lock(key("mine"), { owner: "me", mode: "shared" });
    return [];
  },
  waiting: async (locks, other) => {
    await other.lock(key("busy"), { ttlMs: 60_000, autoRenew: false });
    const calls = [locks.lock(key("busy")), locks.lock(key("busy"), { mode: "shared" }), locks.lockAll([key("busy"), key("free")])];
    // Until each has been refused once and the watch stands.
    await sleep(500);
    return calls;
  },
  renewing: async (locks) => {
    const lock = await locks.lock(key("renewed"), { ttlMs: 3_000 });
    const ended = lock.autoRefresh({ intervalMs: 20 });
    const renewing = locks.autoRenew(key("renewed"), lock.owner, { intervalMs: 20 });
    await sleep(100);
    return [ended, renewing, lock.refresh()];
  },
  "in the middle of everything": async (locks) => {
    const held = await locks.lock(key("held"));
    return [held.unlock(), locks.lock(key("new")), locks.tryLock(key("newer")), locks.inspect(key("held")), locks.ping(), locks.sweep()];
  },
};

const accidents: Readonly<Record<string, (pid: number) => unknown>> = {
  none: () => {},
  "a frozen server": (pid) => process.kill(pid, "SIGSTOP"),
  "a server that is gone": async (pid) => {
    process.kill(pid, "SIGKILL");
    // Time for the connection to break, and for the client to try again.
    await sleep(200);
  },
};

/** Long after the second that is promised: then something keeps the process alive, and this timer, which does not, says what. */
const patienceMs = 4_000;

const [url, state, accident, pid] = process.argv.slice(2);
const come = states[state ?? ""];
const harm = accidents[accident ?? ""];
if (url === undefined || come === undefined || harm === undefined) throw new Error("usage: exit URL STATE ACCIDENT [PID]");

const [locks, other] = await Promise.all([createLockProviderFromUrl(url), createLockProviderFromUrl(url)]);
const calls = (await come(locks, other)).map((call) =>
  call.then(
    () => "ok",
    (error: { code?: string }) => error.code ?? String(error),
  ),
);
await harm(Number(pid));
const from = performance.now();
await Promise.all([locks.close(), other.close()]);
const closedAt = performance.now();
const ended = await Promise.all(calls);
setTimeout(() => {
  console.log(`still alive because of ${process.getActiveResourcesInfo().join(", ")}`);
  process.exit(9);
}, patienceMs).unref();
process.on("exit", (code) => {
  const report: ExitReport = { closedMs: Math.round(closedAt - from), lingeredMs: Math.round(performance.now() - closedAt), calls: ended };
  if (code === 0) console.log(JSON.stringify(report));
});
