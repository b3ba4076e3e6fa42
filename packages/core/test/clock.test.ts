/** Elapsed time: neither a suspended machine nor a step of the wall clock can falsify it; and timers of any length. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { afterEach, describe, expect, test, vi } from "vitest";
import { elapsedClock, type RawClocks, systemClock } from "../src/clock.ts";
import { type Clock, createLockProvider, setTimeLimit } from "../src/index.ts";
import { ScriptedDriver } from "./support/scripted-driver.ts";
import { VirtualClock } from "./support/virtual-clock.ts";

const hour = 3_600_000;

/** A machine whose three clocks the test moves. */
class Machine implements RawClocks {
  #monotonic = 5_000;
  #wall = 1_700_000_000_000;
  #uptime = 9_000;
  uptimeReads = 0;

  monotonic = () => this.#monotonic;
  wall = () => this.#wall;
  uptime = () => {
    this.uptimeReads++;
    // As /proc/uptime: hundredths of a second.
    return Math.floor(this.#uptime / 10) * 10;
  };

  run(ms: number): void {
    this.#monotonic += ms;
    this.#wall += ms;
    this.#uptime += ms;
  }

  suspend(ms: number): void {
    this.#wall += ms;
    this.#uptime += ms;
  }

  stepWall(ms: number): void {
    this.#wall += ms;
  }
}

describe("the elapsed clock", () => {
  test("is the monotonic clock while nothing happens, and reads nothing else", () => {
    const machine = new Machine();
    const now = elapsedClock(machine);
    const began = now();
    const reads = machine.uptimeReads;
    for (let i = 0; i < 1_000; i++) {
      machine.run(7);
      expect(now() - began).toBe((i + 1) * 7);
    }
    expect(machine.uptimeReads).toBe(reads);
  });

  test.each([hour, -hour, 24 * hour, 500, -500])("is not moved by a wall-clock step of %i ms", (step) => {
    const machine = new Machine();
    const now = elapsedClock(machine);
    const began = now();
    machine.run(1_000);
    machine.stepWall(step);
    expect(now() - began).toBe(1_000);
    machine.run(1_000);
    expect(now() - began).toBe(2_000);
  });

  test.each([200, 5_000, 8 * hour])("counts a suspension of %i ms", (ms) => {
    const machine = new Machine();
    const now = elapsedClock(machine);
    const began = now();
    machine.run(1_000);
    machine.suspend(ms);
    machine.run(10);
    expect(Math.abs(now() - began - (1_010 + ms))).toBeLessThanOrEqual(20);
    expect(Math.abs(now() - began - (1_010 + ms))).toBeLessThanOrEqual(20);
  });

  test("tells steps and suspensions apart when they come one after another", () => {
    const machine = new Machine();
    const now = elapsedClock(machine);
    const began = now();
    let elapsed = 0;
    for (let round = 0; round < 50; round++) {
      machine.run(100);
      machine.stepWall(round % 2 === 0 ? hour : -hour);
      now();
      machine.suspend(2_000);
      elapsed += 2_100;
      expect(Math.abs(now() - began - elapsed)).toBeLessThanOrEqual(20 * (round + 1));
    }
  });

  test("counts a suspension during which the wall clock was stepped as well", () => {
    const machine = new Machine();
    const now = elapsedClock(machine);
    const began = now();
    machine.suspend(60_000);
    machine.stepWall(-hour);
    expect(Math.abs(now() - began - 60_000)).toBeLessThanOrEqual(20);
  });

  test("never goes back", () => {
    const machine = new Machine();
    const now = elapsedClock(machine);
    let last = now();
    for (let i = 0; i < 500; i++) {
      const dice = (i * 7_919) % 4;
      if (dice === 0) machine.stepWall(((i * 31) % 5) * hour - 2 * hour);
      else if (dice === 1) machine.suspend((i * 13) % 3_000);
      else machine.run((i * 17) % 500);
      const next = now();
      expect(next).toBeGreaterThanOrEqual(last);
      last = next;
    }
  });
});

describe("a lock on a machine", () => {
  /** Timers run on the monotonic clock, which stands still while the machine sleeps. */
  function onMachine() {
    const machine = new Machine();
    const timers = new VirtualClock();
    const now = elapsedClock(machine);
    const clock: Clock = { now, date: () => new Date(machine.wall()), setTimer: (run, ms, alive) => timers.setTimer(run, ms, alive) };
    const locks = createLockProvider(new ScriptedDriver(timers), { clock, ttlMs: 30_000, sweepIntervalMs: 0 });
    const run = async (ms: number) => {
      for (let passed = 0; passed < ms; passed += 100) {
        machine.run(100);
        await timers.advance(100);
      }
    };
    return { machine, timers, locks, run };
  }

  test("is lost by a suspension past its TTL: every read says so at once, and the signal within a second", async () => {
    const { machine, timers, locks, run } = onMachine();
    const lock = await timers.until(locks.lock("a"));
    const { signal } = lock;
    await run(2_000);
    machine.suspend(40_000);
    expect(lock.isHeld).toBe(false);
    expect(lock.remainingMs).toBe(0);
    await run(1_100);
    expect(signal.reason).toMatchObject({ code: "DLOCK_LOST", reason: "expired" });
  });

  test("is renewed soon after a suspension shorter than its TTL", async () => {
    const { machine, timers, locks, run } = onMachine();
    const lock = await timers.until(locks.lock("a"));
    machine.suspend(20_000);
    expect(lock.remainingMs).toBeLessThan(10_000);
    await run(1_200);
    expect(lock.remainingMs).toBeGreaterThan(25_000);
  });

  test.each([hour, -hour])("is held as if nothing had happened when the wall clock is stepped by %i ms", async (step) => {
    const { machine, timers, locks, run } = onMachine();
    const lock = await timers.until(locks.lock("a"));
    const before = lock.remainingMs;
    machine.stepWall(step);
    expect(lock.remainingMs).toBe(before);
    await run(60_000);
    expect(lock.isHeld).toBe(true);
  });

  test.each([hour, -hour])("ends at its deadline all the same after a step of %i ms", async (step) => {
    const { machine, timers, locks, run } = onMachine();
    const lock = await timers.until(locks.lock("a", { autoRenew: false }));
    machine.stepWall(step);
    await run(29_600);
    expect(lock.isHeld).toBe(true);
    await run(200);
    expect(lock.isHeld).toBe(false);
  });
});

describe("the system's timers", () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  test.each([2 ** 31, 30 * 24 * hour])("of %i ms do not fire at once but in their time", (ms) => {
    vi.useFakeTimers();
    let fired = 0;
    systemClock.setTimer(() => fired++, ms, false);
    vi.advanceTimersByTime(2 ** 31 - 1);
    expect(fired).toBe(0);
    vi.advanceTimersByTime(ms - (2 ** 31 - 1));
    expect(fired).toBe(1);
    vi.advanceTimersByTime(ms);
    expect(fired).toBe(1);
  });

  test("can be cancelled, in their first piece and in a later one", () => {
    vi.useFakeTimers();
    let fired = 0;
    const first = systemClock.setTimer(() => fired++, 1_000, true);
    const later = systemClock.setTimer(() => fired++, 2 ** 32, true);
    first.cancel();
    vi.advanceTimersByTime(2 ** 31);
    later.cancel();
    vi.advanceTimersByTime(2 ** 32);
    expect(fired).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("a time limit", () => {
  test.each([1, 15, 1_000, 60_000])("of %i ms is over when it says", async (ms) => {
    const clock = new VirtualClock();
    let overAt: number | undefined;
    setTimeLimit(clock, () => (overAt = clock.now()), ms);
    await clock.advance(2 * ms);
    expect(overAt).toBe(ms);
    expect(clock.pending).toBe(0);
  });

  test.each([0, 500, 995])("can be cancelled after %i of 1000 ms", async (ms) => {
    const clock = new VirtualClock();
    let over = false;
    const limit = setTimeLimit(clock, () => (over = true), 1_000);
    await clock.advance(ms);
    limit.cancel();
    expect(clock.pending).toBe(0);
    await clock.advance(2_000);
    expect(over).toBe(false);
  });

  test("keeps the process alive from its beginning to its end", async () => {
    const clock = new VirtualClock();
    setTimeLimit(clock, () => {}, 1_000);
    expect(clock.vital).toBe(1);
    await clock.advance(990);
    expect(clock.vital).toBe(1);
  });

  test("lets what has come be read first when the event loop was blocked, as a bare timer does not", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const reader = connect((server.address() as AddressInfo).port, "127.0.0.1");
    const [writer] = (await once(server, "connection")) as [Socket];
    await once(reader, "ready");
    const happened: string[] = [];
    const timer = systemClock.setTimer(() => happened.push("the bare timer"), 20, true);
    const limit = setTimeLimit(systemClock, () => happened.push("the limit"), 20);
    reader.once("data", () => {
      happened.push("the answer");
      limit.cancel();
    });
    // After this come the timers, then the sockets.
    await new Promise((resolve) => setImmediate(resolve));
    writer.write("answer");
    const until = performance.now() + 100;
    while (performance.now() < until);
    await expect.poll(() => happened).toContain("the answer");
    expect(happened).toEqual(["the bare timer", "the answer"]);
    timer.cancel();
    reader.destroy();
    server.close();
  });
});
