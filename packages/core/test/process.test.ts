/** What only a real process can show: when it stays alive, when it exits by itself, and what its locks weigh. Runs the built package. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { describe, expect, test, vi } from "vitest";

// For a machine that is busy with other things; each of these takes a second or so.
vi.setConfig({ testTimeout: 90_000 });

const core = new URL("../dist/index.js", import.meta.url).href;

/** A driver in the script's own process; `refuse`, `silent` and `fail` are what the script sets. */
const prelude = `
  import { createLockProvider } from ${JSON.stringify(core)};
  const server = { refuse: false, silent: new Set(), fail: new Set(), calls: {} };
  const call = (name, answer) => {
    server.calls[name] = (server.calls[name] ?? 0) + 1;
    if (server.silent.has(name)) return new Promise(() => {});
    if (server.fail.has(name)) return Promise.reject(new Error("away"));
    return Promise.resolve(answer());
  };
  const driver = {
    name: "script",
    capabilities: { scope: "process", minTtlMs: 1, ttlStepMs: 1, maxBatch: 1024, watch: false, queue: false },
    acquire: (claims) => call("acquire", () => claims.map(({ ttlMs }) => server.refuse ? { acquired: false } : { acquired: true, token: 1n, ttlMs })),
    extend: (claims) => call("extend", () => claims.map(() => true)),
    release: (claims) => call("release", () => claims.map(() => true)),
    inspect: () => call("inspect", () => []),
    list: async function* () {},
    sweep: () => call("sweep", () => 0),
    ping: () => call("ping", () => undefined),
    close: () => call("close", () => undefined),
  };
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
`;

/** Runs a script to its own end. Rejects when it does not end, or not with code 0. */
async function run(script: string, ...flags: string[]): Promise<string> {
  const args = [...flags, "--input-type=module", "--eval", prelude + script];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { timeout: 60_000 });
  expect(stderr).toBe("");
  return stdout.trim();
}

describe("a process", () => {
  test("with held locks, renewals and a sweeper, but nothing to do, exits by itself", async () => {
    const said = await run(`
      const locks = createLockProvider(driver, { ttlMs: 3600000 });
      const held = [];
      for (let i = 0; i < 100; i++) held.push(await locks.lock("key " + i));
      console.log(held.every((lock) => lock.isHeld));
    `);
    expect(said).toBe("true");
  });

  test("that waits for a lock stays alive until it has it", async () => {
    const said = await run(`
      const locks = createLockProvider(driver);
      server.refuse = true;
      setTimeout(() => { server.refuse = false; }, 300).unref();
      const lock = await locks.lock("a", { waitMs: 10000 });
      console.log(lock.isHeld);
    `);
    expect(said).toBe("true");
  });

  test("that waits in the line of its own process stays alive until its wait is over", async () => {
    const said = await run(`
      const locks = createLockProvider(driver);
      const first = await locks.lock("a");
      console.log(await locks.lock("a", { waitMs: 300 }).catch((error) => error.code));
    `);
    expect(said).toBe("DLOCK_TIMEOUT");
  });

  test.each(["lock.refresh()", 'locks.renew("a", lock.owner, 60000)', 'locks.renew("b", "other", 60000)'])(
    "that awaits %s stays alive until it is answered",
    async (call) => {
      const said = await run(`
        const locks = createLockProvider(driver, { ttlMs: 60000 });
        const lock = await locks.lock("a");
        driver.inspect = async () => [{ owner: "other", token: 1n, mode: "exclusive", remainingMs: 1, heldMs: 1 }];
        driver.extend = (claims) => new Promise((resolve) => setTimeout(() => resolve(claims.map(() => true)), 300).unref());
        await ${call};
        console.log("renewed");
      `);
      expect(said).toBe("renewed");
    },
  );

  test("exits by itself after close(), also when the server is silent", async () => {
    const said = await run(`
      const locks = createLockProvider(driver);
      const lock = await locks.lock("held");
      const releasing = await locks.lock("releasing");
      for (const name of ["acquire", "extend", "release", "inspect", "sweep", "close"]) server.silent.add(name);
      const calls = [locks.lock("new"), locks.lock("held"), releasing.unlock(), lock.refresh(), locks.inspect("a")];
      const settled = Promise.allSettled(calls);
      await sleep(20);
      await locks.close();
      const results = await settled;
      console.log(results.map(({ status, reason }) => status === "rejected" && reason.code).join(" "));
      console.log(lock.isHeld);
    `);
    expect(said).toBe("DLOCK_CLOSED DLOCK_CLOSED DLOCK_BACKEND DLOCK_BACKEND DLOCK_CLOSED\nfalse");
  });

  test("survives renewals, sweeps and undos that fail in the background, and listeners that throw", async () => {
    const said = await run(`
      const locks = createLockProvider(driver, { ttlMs: 150, sweepIntervalMs: 20, logger: { debug() {}, info() {}, warn() {}, error() {} } });
      locks.on("lost", () => { throw new Error("listener"); });
      const lock = await locks.lock("a");
      lock.autoRefresh();
      for (const name of ["extend", "sweep", "release", "acquire"]) server.fail.add(name);
      locks.tryLock("b").catch(() => {});
      const alive = setInterval(() => {}, 1000);
      await new Promise((resolve) => lock.signal.addEventListener("abort", resolve));
      await sleep(50);
      await locks.close();
      clearInterval(alive);
      console.log(lock.signal.reason.reason);
    `);
    expect(said).toBe("expired");
  });

  test("that blocks its event loop past the TTL knows it in the next line, before any timer", async () => {
    const said = await run(`
      const locks = createLockProvider(driver, { ttlMs: 60 });
      const lock = await locks.lock("a");
      const { signal } = lock;
      const alive = setInterval(() => {}, 1000);
      const seen = [lock.isHeld];
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
      seen.push(lock.isHeld, signal.aborted);
      await Promise.resolve();
      seen.push(lock.isHeld);
      await new Promise(setImmediate);
      seen.push(lock.isHeld);
      await new Promise((resolve) => { if (signal.aborted) resolve(); else signal.addEventListener("abort", resolve); });
      seen.push(lock.isHeld, server.calls.extend ?? 0);
      clearInterval(alive);
      console.log(seen.join(" "));
    `);
    expect(said).toBe("true false false false false false 0");
  });
});

describe("100,000 held locks", () => {
  test("cost at most 1 KB of heap each", async () => {
    const said = await run(
      `
      const locks = createLockProvider(driver);
      const keys = Array.from({ length: 100000 }, (_, index) => "workflow_execution:" + index);
      const held = [];
      gc();
      const before = process.memoryUsage().heapUsed;
      for (let from = 0; from < keys.length; from += 1000)
        held.push(...(await Promise.all(keys.slice(from, from + 1000).map((key) => locks.lock(key)))));
      await sleep(10);
      gc();
      console.log(Math.round((process.memoryUsage().heapUsed - before) / held.length));
      await locks.close();
    `,
      "--expose-gc",
    );
    expect(Number(said)).toBeGreaterThan(100);
    expect(Number(said)).toBeLessThanOrEqual(1_024);
  });
});
