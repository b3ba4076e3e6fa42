/** close() in each state: it refuses, rejects, tells and releases, within a second whatever the server does, and leaves nothing. */
import { getEventListeners } from "node:events";
import { describe, expect, test } from "vitest";
import { LockLostError, ProviderClosedError } from "../src/index.ts";
import { errorOf, record, type Scenario, scenario, watchPromise } from "./support/scenario.ts";
import { failing, silent, slow } from "./support/scripted-driver.ts";

/** Closes, and says how long that took. */
async function closeIn({ clock, locks }: Scenario): Promise<number> {
  const began = clock.now();
  await clock.until(locks.close());
  return clock.now() - began;
}

describe("close()", () => {
  test("of an idle provider is immediate and closes the driver once", async () => {
    const here = scenario({ sweepIntervalMs: 60_000 });
    expect(await closeIn(here)).toBe(0);
    await here.clock.until(Promise.all([here.locks.close(), here.locks[Symbol.asyncDispose]()]));
    expect(here.driver.closed).toBe(1);
    expect(here.driver.calls).toHaveLength(0);
    expect(here.clock.pending).toBe(0);
  });

  test("refuses every later call", async () => {
    const { clock, driver, locks } = scenario();
    await clock.until(locks.close());
    const { signal } = new AbortController();
    const calls = [
      locks.lock("a", { signal }),
      locks.tryLock("a"),
      locks.withLock("a", () => {}),
      locks.tryWithLock("a", () => {}),
      locks.isLocked("a"),
      locks.inspect("a"),
      locks.ping(),
      locks.sweep(),
      locks.renew("a", "b", 1_000),
      locks.unlock("a", "b"),
      locks.list()[Symbol.asyncIterator]().next(),
    ];
    for (const call of calls) expect(await errorOf(call)).toMatchObject({ name: "ProviderClosedError", code: "DLOCK_CLOSED" });
    expect(driver.calls).toHaveLength(0);
    expect(getEventListeners(signal, "abort")).toHaveLength(0);
    expect(locks.stats().active).toBe(0); // Reading is still allowed.
  });

  test("loses held locks with reason closed, aborts their signals, and releases all in one batch", async () => {
    const here = scenario();
    const { clock, driver, locks } = here;
    const lost = record(locks, "lost");
    const held = await clock.until(Promise.all(Array.from({ length: 50 }, (_, index) => locks.lock(`key ${index}`))));
    const signals = held.map((lock) => lock.signal);
    expect(await closeIn(here)).toBe(0);
    expect(signals.every(({ reason }) => reason instanceof LockLostError && reason.reason === "closed")).toBe(true);
    expect(held.some((lock) => lock.isHeld)).toBe(false);
    expect(lost.map((event) => event.reason)).toEqual(Array(50).fill("closed"));
    expect(driver.of("release")).toHaveLength(1);
    expect(driver.table.size).toBe(0);
    expect(await held[0]?.unlock()).toBe(false);
    expect(await errorOf((held[0] as (typeof held)[0]).refresh())).toMatchObject({ code: "DLOCK_NOT_HELD" });
    expect(clock.pending).toBe(0);
  });

  test.each([1, 2, 3, 10])("rejects %i waiters, none of which asks or gets anything afterwards", async (count) => {
    const here = scenario({ waitMs: 60_000 }, { watch: true });
    const { clock, driver, locks } = here;
    driver.table.occupy("a", 60_000, "other");
    const waits = Array.from({ length: count }, () => watchPromise(locks.lock("a")));
    const shared = Array.from({ length: count }, () => watchPromise(locks.lock("a", { mode: "shared" })));
    await clock.advance(100);
    const asked = driver.claimsOf("acquire").length;
    expect(await closeIn(here)).toBeLessThanOrEqual(1_000);
    for (const { state, error } of [...waits, ...shared]) {
      expect(state).toBe("rejected");
      expect(error).toBeInstanceOf(ProviderClosedError);
      expect(error).toMatchObject({ key: "a" });
    }
    expect(driver.claimsOf("acquire")).toHaveLength(asked);
    expect(driver.table.watched).toBe(0);
    expect(clock.pending).toBe(0);
  });

  test("rejects the waiters behind a held lock and hands nothing on", async () => {
    const here = scenario({ waitMs: 60_000 });
    const { clock, driver, locks } = here;
    const lock = await clock.until(locks.lock("a"));
    const waits = Array.from({ length: 5 }, () => watchPromise(locks.lock("a")));
    await clock.settle();
    await closeIn(here);
    expect(waits.map(({ error }) => (error as Error).name)).toEqual(Array(5).fill("ProviderClosedError"));
    expect(lock.isHeld).toBe(false);
    expect(driver.claimsOf("acquire")).toHaveLength(1);
    expect(driver.table.size).toBe(0);
    expect(locks.stats()).toMatchObject({ active: 0, waiting: 0, handOffs: 0 });
  });

  test("gives back a grant that is on its way", async () => {
    const here = scenario();
    const { clock, driver, locks } = here;
    driver.next("acquire", slow(100, 200));
    const waiting = watchPromise(locks.lock("a"));
    await clock.settle();
    expect(await closeIn(here)).toBeLessThanOrEqual(400);
    expect(waiting.error).toBeInstanceOf(ProviderClosedError);
    expect(driver.claimsOf("acquire")).toHaveLength(1);
    expect(driver.table.size).toBe(0);
    expect(clock.pending).toBe(0);
  });

  test("settles within a second when the server is silent, whatever is under way", async () => {
    const here = scenario({ ttlMs: 30_000, sweepIntervalMs: 500 });
    const { clock, driver, locks } = here;
    const held = await clock.until(locks.lock("held"));
    const releasing = await clock.until(locks.lock("releasing"));
    const refreshed = await clock.until(locks.lock("refreshed", { owner: "me" }));
    for (const operation of ["acquire", "extend", "release", "inspect", "ping", "sweep"] as const) driver.always(operation, silent);
    driver.onClose = () => new Promise(() => {});
    const pending = {
      acquire: watchPromise(locks.lock("new")),
      behind: watchPromise(locks.lock("held")),
      unlock: watchPromise(releasing.unlock()),
      unlockByName: watchPromise(locks.unlock("other", "someone")),
      refresh: watchPromise(refreshed.refresh()),
      renew: watchPromise(locks.renew("other", "someone", 1_000)),
      inspect: watchPromise(locks.inspect("a")),
      ping: watchPromise(locks.ping()),
      sweep: watchPromise(locks.sweep()),
      autoRefresh: watchPromise(held.autoRefresh()),
    };
    await clock.advance(900);
    expect(await closeIn(here)).toBeLessThan(1_000);
    expect(clock.pending).toBe(0);
    // Nobody is left waiting for a promise that nothing will settle any more.
    await clock.settle();
    const left = Object.entries(pending).filter(([, { state }]) => state === "pending");
    expect(left.map(([name]) => name)).toEqual([]);
  });

  test("settles within a second when the server refuses everything", async () => {
    const here = scenario();
    const { clock, driver, locks } = here;
    const errors = record(locks, "error");
    await clock.until(locks.lock("a"));
    driver.always("release", failing(new Error("ECONNREFUSED")));
    driver.onClose = () => Promise.reject(new Error("cannot even close"));
    expect(await closeIn(here)).toBeLessThan(1_000);
    expect(clock.pending).toBe(0);
    expect(errors.some(({ doing }) => doing === "close the driver")).toBe(true);
  });

  test("never rejects when the driver's close throws at once", async () => {
    const here = scenario();
    here.driver.onClose = () => {
      throw new Error("at once");
    };
    expect(await closeIn(here)).toBeLessThan(1_000);
    expect(here.clock.pending).toBe(0);
  });

  test("waits for a release that is under way", async () => {
    const here = scenario();
    const { clock, driver, locks } = here;
    const lock = await clock.until(locks.lock("a"));
    driver.always("release", slow(100, 100));
    const unlocking = watchPromise(lock.unlock());
    await clock.settle();
    expect(await closeIn(here)).toBeLessThanOrEqual(300);
    expect(unlocking).toMatchObject({ state: "resolved", value: true });
    expect(driver.table.size).toBe(0);
  });

  test("while a renewal is in flight releases all the same, and nothing is renewed afterwards", async () => {
    const here = scenario({ ttlMs: 3_000 });
    const { clock, driver, locks } = here;
    await clock.until(locks.lock("a"));
    driver.next("extend", slow(0, 300));
    await clock.advance(1_000);
    expect(driver.of("extend")).toHaveLength(1);
    await closeIn(here);
    await clock.advance(10_000);
    expect(driver.of("extend")).toHaveLength(1);
    expect(driver.table.size).toBe(0);
  });

  test("undoes what was given up shortly before", async () => {
    const here = scenario({ attemptTimeoutMs: 500 });
    const { clock, driver, locks } = here;
    driver.next("acquire", (serve) => {
      serve();
      return silent(serve, clock);
    });
    driver.next("release", silent);
    await errorOf(clock.until(locks.lock("a", { waitMs: 0 })));
    expect(driver.table.size).toBe(1);
    await clock.advance(600);
    await closeIn(here);
    expect(driver.table.size).toBe(0);
  });

  test("inside withLock makes it reject with LockLostError", async () => {
    const { clock, locks } = scenario();
    const error = await errorOf(
      clock.until(
        locks.withLock("a", async () => {
          await locks.close();
          return "done";
        }),
      ),
    );
    expect(error).toMatchObject({ code: "DLOCK_LOST", reason: "closed", value: "done" });
  });

  test("called by a listener of the loss it causes does no harm", async () => {
    const { clock, driver, locks } = scenario();
    await clock.until(locks.lock("a"));
    locks.on("lost", () => void locks.close());
    await clock.until(locks.close());
    expect(driver.table.size).toBe(0);
    expect(driver.closed).toBe(1);
  });
});
