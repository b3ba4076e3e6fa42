/**
 * A process that holds locks and ends: what it prints is what the test sees. It loads the built package, as users do. The driver is the
 * smallest that grants everything; it prints each release, so that batches can be counted.
 */
import { closeOnExit, createLockProvider } from "../../dist/index.js";

const scene = process.argv[2];
const say = (line) => process.stdout.write(`${line}\n`);

let token = 0n;
const driver = {
  name: "printing",
  capabilities: { scope: "process", minTtlMs: 1, ttlStepMs: 1, maxBatch: 100, watch: false, queue: false },
  acquire: async (claims) => claims.map(({ ttlMs }) => ({ acquired: true, token: ++token, ttlMs })),
  extend: async (claims) => claims.map(() => true),
  release: async (claims) => {
    say(`release ${claims.map(({ key }) => key).join(" ")}`);
    return scene === "silent" ? new Promise(() => {}) : claims.map(() => true);
  },
  inspect: async () => [],
  async *list() {},
  sweep: async () => 0,
  ping: async () => {},
  close: async () => say("close"),
};

const locks = createLockProvider(driver);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
/** Says when it begins and when it is done. */
const slow = {
  async close() {
    say("slow begins");
    await pause(100);
    say("slow ends");
  },
};
const hanging = { close: () => new Promise(() => {}) };
const failing = {
  close() {
    throw new Error("closing failed");
  },
};

if (scene === "other") {
  process.once("SIGTERM", async () => {
    say("other begins");
    // Longer than ours: the process is theirs to end.
    await pause(300);
    say("other ends");
    process.exit(7);
  });
}
if (scene === "hanging") closeOnExit(hanging, { timeoutMs: 200 });
else if (scene === "slow") closeOnExit(slow);
else if (scene === "failing") closeOnExit(failing);
else if (scene === "signals") closeOnExit(locks, { signals: ["SIGHUP"] });
else {
  const stop = closeOnExit(locks);
  if (scene === "stopped") stop();
  if (scene === "two") closeOnExit(slow);
}

for (const key of ["a", "b", "c"]) await locks.lock(key);
if (scene === "exit code") process.exitCode = 3;
say(`ready ${process.pid}`);
// Held locks keep no process alive.
if (scene !== "idle" && scene !== "exit code") setInterval(() => {}, 1_000);
