/** Wall clocks that really step, in processes of their own: neither two holders nor a lock that outlives its TTL. */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { temporaryFolder } from "./support/files.ts";
import { Peer } from "./support/process.ts";

const faketime = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib"]
  .map((folder) => join(folder, "faketime/libfaketime.so.1"))
  .find((file) => existsSync(file));

/** The environment of a process whose wall clock is off by as many seconds as the file says, at every read; its monotonic clock is not touched. */
function steppedBy(file: string): NodeJS.ProcessEnv {
  if (faketime !== undefined) {
    return {
      LD_PRELOAD: faketime,
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: "1",
      // Two names of the same switch, of different versions.
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
      DONT_FAKE_MONOTONIC: "1",
    };
  }
  // Where libfaketime is not installed, at least everything written in JavaScript sees the step.
  const shim = `import { readFileSync } from "node:fs"; const real = Date.now; Date.now = () => real() + 1000 * Number(readFileSync(${JSON.stringify(file)}, "utf8"));`;
  return { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(shim)}` };
}

const hour = 3_600;
const ttlMs = 1_000;

describe.each([hour, -hour])("a wall clock that steps by %i s", (step) => {
  async function start() {
    const folder = temporaryFolder();
    const path = join(folder, "locks.db");
    const file = join(folder, "faketime");
    writeFileSync(file, "+0");
    const stepping = await Peer.start(path, steppedBy(file));
    const steady = await Peer.start(path);
    const stepNow = async () => {
      const before = await stepping.call("clocks");
      writeFileSync(file, step > 0 ? `+${step}` : `${step}`);
      const after = await stepping.call("clocks");
      // The step is real, and it is one of the wall clock alone.
      const [wall, monotonic] = [(after.wall - before.wall) / 1_000, Number(after.monotonic - before.monotonic) / 1e9];
      expect(wall - monotonic).toBeGreaterThan(step - 5);
      expect(wall - monotonic).toBeLessThan(step + 5);
      expect(monotonic).toBeLessThan(60);
    };
    return { stepping, steady, stepNow };
  }

  it("in the holder's process does not move the end of its lease", async () => {
    const { stepping, steady, stepNow } = await start();
    const granted = await stepping.call("acquire", "job", "holder", 60_000);
    await stepNow();
    expect((await steady.call("acquire", "job", "other", ttlMs)).acquired).toBe(false);
    expect((await stepping.call("acquire", "job", "another", ttlMs)).acquired).toBe(false);
    expect(await stepping.call("release", "job", "holder", granted.token)).toBe(true);
  });

  it("in the holder's process does not keep a lock beyond its TTL", async () => {
    const { stepping, steady, stepNow } = await start();
    const sentAt = process.hrtime.bigint();
    await stepping.call("acquire", "job", "holder", ttlMs);
    await stepNow();
    await steady.call("lock", "job", "other", ttlMs);
    const elapsedMs = Number(process.hrtime.bigint() - sentAt) / 1e6;
    expect(elapsedMs).toBeGreaterThanOrEqual(ttlMs);
    expect(elapsedMs).toBeLessThan(ttlMs + 10_000);
  });

  it("in another process does not let it take over early, nor hold what it takes longer or shorter", async () => {
    const { stepping, steady, stepNow } = await start();
    const granted = await steady.call("acquire", "job", "holder", 60_000);
    await stepNow();
    expect((await stepping.call("acquire", "job", "other", ttlMs)).acquired).toBe(false);
    await steady.call("release", "job", "holder", granted.token);
    const sentAt = process.hrtime.bigint();
    expect((await stepping.call("acquire", "job", "other", ttlMs)).acquired).toBe(true);
    await steady.call("lock", "job", "holder", ttlMs);
    const elapsedMs = Number(process.hrtime.bigint() - sentAt) / 1e6;
    expect(elapsedMs).toBeGreaterThanOrEqual(ttlMs);
    expect(elapsedMs).toBeLessThan(ttlMs + 10_000);
  });
});
