/** The queue of a key inside the process: one contender, first in first out, hand-off, and turns for other processes. */
import { describe, expect, test } from "vitest";
import { fixedInterval, type Lock, LockTimeoutError } from "../src/index.ts";
import { errorOf, record, scenario, watchPromise } from "./support/scenario.ts";
import { failing, slow } from "./support/scripted-driver.ts";

const serverToken = (lock: Lock) => lock.token >> 10n;

describe("waiters of one process", () => {
  test("make one contender, however many they are", async () => {
    const { clock, driver, locks } = scenario({ retry: fixedInterval(100), waitMs: 60_000 });
    const free = driver.table.occupy("a");
    let sections = 0;
    const waits = Array.from({ length: 1_000 }, async () => {
      const lock = await locks.lock("a");
      sections++;
      await lock.unlock();
    });
    await clock.advance(950);
    expect(driver.claimsOf("acquire")).toHaveLength(10);
    expect(new Set(driver.claimsOf("acquire").map((claim) => claim.owner)).size).toBe(1);
    expect(locks.stats().waiting).toBe(1_000);
    free();
    await clock.until(Promise.all(waits));
    expect(sections).toBe(1_000);
    expect(driver.table.size).toBe(0);
  });

  test("a shared try behind a waiting writer is refused at once: whoever stands in line comes first", async () => {
    const { clock, locks } = scenario();
    const reader = await clock.until(locks.lock("a", { mode: "shared" }));
    const writer = locks.lock("a", { waitMs: 60_000 });
    const before = clock.now();
    expect(await clock.until(locks.tryLock("a", { mode: "shared" }))).toBeUndefined();
    expect(clock.now()).toBe(before);
    await clock.until(reader.unlock());
    expect((await clock.until(writer)).isHeld).toBe(true);
  });

  test("are served first in, first out", async () => {
    const { clock, locks } = scenario({ waitMs: 60_000 });
    const order: number[] = [];
    const waits = Array.from({ length: 100 }, async (_, index) => {
      const lock = await locks.lock("a");
      order.push(index);
      await lock.unlock();
    });
    await clock.until(Promise.all(waits));
    expect(order).toEqual(Array.from({ length: 100 }, (_, index) => index));
  });

  test("leave in constant time when aborted: 20,000 of them, from the middle outwards", async () => {
    const { clock, locks } = scenario();
    const lock = await clock.until(locks.lock("a"));
    const controllers = Array.from({ length: 20_000 }, () => new AbortController());
    const waits = controllers.map(({ signal }) => locks.lock("a", { signal, waitMs: 60_000 }).catch(() => "gone"));
    const last = watchPromise(locks.lock("a", { waitMs: 60_000 }));
    // With a scan of the queue for each, this would be hundreds of millions of steps.
    for (let i = 0; i < 10_000; i++) {
      controllers[10_000 + i]?.abort("gone");
      controllers[9_999 - i]?.abort("gone");
    }
    expect(await clock.until(Promise.all(waits))).toEqual(controllers.map(() => "gone"));
    await clock.until(lock.unlock());
    expect(last.state).toBe("resolved");
  });

  test("time out in the queue with the holder's name", async () => {
    const { clock, locks } = scenario();
    const lock = await clock.until(locks.lock("a", { metadata: "the first" }));
    const error = await errorOf(clock.until(locks.lock("a", { waitMs: 500 })));
    expect(error).toBeInstanceOf(LockTimeoutError);
    expect(error).toMatchObject({ holder: { token: lock.token, metadata: "the first" } });
    expect(clock.now()).toBe(500);
  });

  test("keep the process alive, and held locks do not", async () => {
    const { clock, locks } = scenario();
    const lock = await clock.until(locks.lock("a"));
    expect(clock.vital).toBe(0);
    const waiting = locks.lock("a");
    expect(clock.vital).toBe(1);
    await clock.until(lock.unlock());
    await clock.until(waiting);
    expect(clock.vital).toBe(0);
  });
});

describe("shared waiters", () => {
  test("that stand in line one after another go together, up to their limit", async () => {
    const { clock, locks } = scenario({ waitMs: 60_000 });
    const writer = await clock.until(locks.lock("a"));
    const readers = Array.from({ length: 5 }, () => watchPromise(locks.lock("a", { mode: "shared", limit: 3 })));
    await clock.until(writer.unlock());
    await clock.advance(50);
    expect(readers.map(({ state }) => state)).toEqual(["resolved", "resolved", "resolved", "pending", "pending"]);
    await clock.until(readers[1]?.value?.unlock() as Promise<boolean>);
    await clock.advance(50);
    expect(readers.map(({ state }) => state)).toEqual(["resolved", "resolved", "resolved", "resolved", "pending"]);
  });

  test("without a limit all go together, and a writer behind them waits for all", async () => {
    const { clock, locks } = scenario({ waitMs: 60_000 });
    const writer = await clock.until(locks.lock("a"));
    const readers = Array.from({ length: 20 }, () => watchPromise(locks.lock("a", { mode: "shared" })));
    const next = watchPromise(locks.lock("a"));
    await clock.until(writer.unlock());
    await clock.advance(50);
    expect(readers.every(({ state }) => state === "resolved")).toBe(true);
    for (const { value } of readers) {
      expect(next.state).toBe("pending");
      await clock.until(value?.unlock() as Promise<boolean>);
    }
    await clock.advance(50);
    expect(next.state).toBe("resolved");
  });

  test("do not overtake a writer that waits before them", async () => {
    const { clock, locks } = scenario({ waitMs: 60_000 });
    const reader = await clock.until(locks.lock("a", { mode: "shared" }));
    const writer = watchPromise(locks.lock("a"));
    const late = watchPromise(locks.lock("a", { mode: "shared" }));
    await clock.advance(1_000);
    expect([writer.state, late.state]).toEqual(["pending", "pending"]);
    await clock.until(reader.unlock());
    await clock.advance(50);
    expect([writer.state, late.state]).toEqual(["resolved", "pending"]);
    await clock.until(writer.value?.unlock() as Promise<boolean>);
    await clock.advance(50);
    expect(late.state).toBe("resolved");
  });
});

describe("hand-off", () => {
  test("passes a lease on without the server, with strictly growing tokens", async () => {
    const { clock, driver, locks } = scenario({ waitMs: 60_000, handOff: { maxMs: 1_000 } });
    const acquired = record(locks, "acquired");
    const released = record(locks, "released");
    const tokens: bigint[] = [];
    const owners = new Set<string>();
    const waits = Array.from({ length: 12 }, async () => {
      const lock = await locks.lock("a");
      tokens.push(lock.token);
      owners.add(lock.owner);
      await lock.unlock();
    });
    await clock.until(Promise.all(waits));
    expect(driver.calls.map((call) => call.operation)).toEqual(["acquire", "release"]);
    expect(tokens).toEqual([...tokens].sort((a, b) => (a < b ? -1 : 1)));
    expect(owners.size).toBe(12);
    expect(locks.stats()).toMatchObject({ handOffs: 11, total: 12, active: 0, unlockCount: 12 });
    expect(acquired.map((event) => event.handedOff)).toEqual([false, ...Array(11).fill(true)]);
    expect(released.map((event) => event.handedOff)).toEqual([...Array(11).fill(true), false]);
  });

  test("ends the old handle: its owner string and its unlock do nothing to the successor", async () => {
    const { clock, locks } = scenario();
    const first = await clock.until(locks.lock("a"));
    const waiting = locks.lock("a");
    const { owner } = first;
    await clock.until(first.unlock());
    const second = await clock.until(waiting);
    expect(await clock.until(locks.unlock("a", owner))).toBe(false);
    await expect(clock.until(locks.renew("a", owner, 1_000))).rejects.toMatchObject({ code: "DLOCK_NOT_HELD" });
    expect(await clock.until(first.unlock())).toBe(true);
    expect(first.isHeld).toBe(false);
    await expect(first.refresh()).rejects.toMatchObject({ code: "DLOCK_NOT_HELD" });
    expect(second.isHeld).toBe(true);
    expect(await clock.until(locks.unlock("a", second.owner))).toBe(true);
    expect(second.isHeld).toBe(false);
  });

  test("keeps the deadline of the lease", async () => {
    const { clock, locks } = scenario({ ttlMs: 1_000, autoRenew: false, handOff: { maxMs: 1_000 } });
    const first = await clock.until(locks.lock("a"));
    const waiting = locks.lock("a");
    await clock.advance(300);
    await clock.until(first.unlock());
    const second = await clock.until(waiting);
    expect(second.remainingMs).toBe(690);
  });

  test.each([
    ["another ttlMs", { ttlMs: 20_000 }],
    ["another mode", { mode: "shared" as const }],
    ["other metadata", { metadata: "mine" }],
    ["an owner of its own", { owner: "me" }],
  ])("does not happen to a waiter that asks for %s", async (_, options) => {
    const { clock, driver, locks } = scenario();
    const first = await clock.until(locks.lock("a"));
    const waiting = locks.lock("a", options);
    await clock.settle();
    await clock.until(first.unlock());
    const second = await clock.until(waiting);
    expect(serverToken(second)).toBe(2n);
    expect(locks.stats().handOffs).toBe(0);
    expect(driver.of("release")).toHaveLength(1);
  });

  test("does not happen when less than half of the TTL remains", async () => {
    const { clock, locks } = scenario({ ttlMs: 1_000, autoRenew: false, handOff: { maxMs: 1_000 } });
    const first = await clock.until(locks.lock("a"));
    const waiting = locks.lock("a");
    await clock.advance(600);
    await clock.until(first.unlock());
    const second = await clock.until(waiting);
    expect(serverToken(second)).toBe(2n);
    expect(second.remainingMs).toBeGreaterThan(900);
  });

  test("never happens with handOff: false", async () => {
    const { clock, driver, locks } = scenario({ handOff: false, waitMs: 60_000 });
    const tokens: bigint[] = [];
    await clock.until(
      Promise.all(
        Array.from({ length: 20 }, async () => {
          const lock = await locks.lock("a");
          tokens.push(serverToken(lock));
          await lock.unlock();
        }),
      ),
    );
    expect(tokens).toEqual(Array.from({ length: 20 }, (_, index) => BigInt(index + 1)));
    expect(driver.claimsOf("release")).toHaveLength(20);
  });

  test("happens at most handOff.max times in a row", async () => {
    const { clock, locks } = scenario({ handOff: { max: 3, maxMs: 100_000 }, waitMs: 60_000 });
    const tokens: bigint[] = [];
    await clock.until(
      Promise.all(
        Array.from({ length: 12 }, async () => {
          const lock = await locks.lock("a");
          tokens.push(serverToken(lock));
          await lock.unlock();
        }),
      ),
    );
    expect(tokens).toEqual([1n, 1n, 1n, 1n, 2n, 2n, 2n, 2n, 3n, 3n, 3n, 3n]);
  });

  test.each([
    ["goes on past sixteen times while the turn is shorter than a change of turns", 0, 40],
    ["ends after sixteen times once the turn has lasted longer than that", 2, 17],
  ])("%s, unless handOff.max says how often", async (_, sectionMs, shared) => {
    const { clock, locks } = scenario({ waitMs: 60_000 }, { watch: true });
    const tokens: bigint[] = [];
    await clock.until(
      Promise.all(
        Array.from({ length: 40 }, async () => {
          const lock = await locks.lock("a");
          tokens.push(serverToken(lock));
          if (sectionMs > 0) await clock.sleep(sectionMs);
          await lock.unlock();
        }),
      ),
    );
    expect(tokens.filter((token) => token === 1n)).toHaveLength(shared);
  });

  test("happens at most for handOff.maxMs in a row", async () => {
    const { clock, locks } = scenario({ handOff: { maxMs: 100 }, waitMs: 60_000 });
    const tokens: bigint[] = [];
    await clock.until(
      Promise.all(
        Array.from({ length: 6 }, async () => {
          const lock = await locks.lock("a");
          tokens.push(serverToken(lock));
          await clock.sleep(40);
          await lock.unlock();
        }),
      ),
    );
    expect(tokens).toEqual([1n, 1n, 1n, 2n, 2n, 2n]);
  });

  test.each([true, false])("gives another process its turn after handOff.max (with notifications: %s)", async (watch) => {
    // Without notifications the others must ask often enough to meet the pause that is made for them.
    const retry = watch ? {} : { retry: fixedInterval(2) };
    const { clock, driver, locks, another } = scenario({ handOff: { max: 4 }, waitMs: 600_000, ...retry }, { watch });
    const other = another();
    for (const each of [driver, other.driver]) each.always("acquire", slow(1, 1)).always("release", slow(1, 1));
    const turns: string[] = [];
    const work = async (name: string, provider: typeof locks) => {
      for (let round = 0; round < 40; round++) {
        const lock = await provider.lock("a");
        turns.push(name);
        await lock.unlock();
      }
    };
    const all = [...Array(5).fill("A"), ...Array(5).fill("B")].map((name) => work(name, name === "A" ? locks : other.locks));
    await clock.until(Promise.all(all));
    // Longest stretch of one process while the other one still had work: a few turns, not all of them.
    const lastOfFirst = Math.min(turns.lastIndexOf("A"), turns.lastIndexOf("B"));
    let longest = 0;
    for (let i = 0, run = 0; i <= lastOfFirst; i++) {
      run = turns[i] === turns[i - 1] ? run + 1 : 1;
      longest = Math.max(longest, run);
    }
    expect(longest).toBeLessThanOrEqual(15);
    expect(turns).toHaveLength(400);
  });

  test("a process that met another lets it come first, although nobody else of its own waits", async () => {
    const { clock, driver, locks, another } = scenario({ waitMs: 600_000 }, { watch: true });
    const other = another();
    // The other one is further away: it hears of a release only when the releaser could long have asked again.
    driver.always("acquire", slow(1, 1)).always("release", slow(1, 1));
    other.driver.always("acquire", slow(4, 4)).always("release", slow(4, 4));
    const turns: string[] = [];
    const work = async (name: string, provider: typeof locks) => {
      for (let round = 0; round < 40; round++) {
        const lock = await provider.lock("a");
        turns.push(name);
        await clock.sleep(5);
        await lock.unlock();
      }
    };
    await clock.until(Promise.all([work("A", locks), work("B", other.locks)]));
    const lastOfFirst = Math.min(turns.lastIndexOf("A"), turns.lastIndexOf("B"));
    const changes = turns.slice(0, lastOfFirst + 1).filter((name, i) => i > 0 && name !== turns[i - 1]).length;
    expect(changes).toBeGreaterThan(lastOfFirst / 2);
  });

  test("the pause after a release is not lengthened by those of other readers", async () => {
    const { clock, driver, locks, another } = scenario({ waitMs: 600_000 }, { watch: true });
    driver.always("acquire", slow(1, 1)).always("release", slow(1, 1));
    const other = another();
    const scene = async (): Promise<number> => {
      const writer = await other.locks.lock("a", { ttlMs: 600_000 });
      const readers = Promise.all(Array.from({ length: 20 }, () => locks.lock("a", { mode: "shared" })));
      await clock.sleep(50);
      await writer.unlock();
      const held = await readers;
      // One after the other they let go, each sooner than a pause is over.
      const leaving = (async () => {
        for (const lock of held) {
          await lock.unlock();
          await clock.sleep(1);
        }
      })();
      await clock.sleep(5);
      const asked = clock.now();
      // Of another TTL, so that no lease is handed on to it.
      const late = await locks.lock("a", { mode: "shared", ttlMs: 50_000 });
      const waitedMs = clock.now() - asked;
      await leaving;
      await late.unlock();
      return waitedMs;
    };
    expect(await clock.until(scene())).toBeLessThan(10);
  });

  test("of a lease at risk tells the next holder too", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 9_000, handOff: { maxMs: 9_000 } });
    const atRisk = record(locks, "at-risk");
    const first = await clock.until(locks.lock("a"));
    const waiting = locks.lock("a");
    driver.always("extend", failing(new Error("away")));
    await clock.advance(3_100);
    await clock.until(first.unlock());
    const second = await clock.until(waiting);
    await clock.advance(2_000);
    expect(atRisk.map(({ owner }) => owner)).toEqual([first.owner, second.owner]);
  });

  test("does not end a loss: a waiter behind a lost lease asks the server", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 1_000, autoRenew: false, waitMs: 60_000 });
    const first = await clock.until(locks.lock("a"));
    const second = await clock.until(locks.lock("a"));
    expect(first.isHeld).toBe(false);
    expect(second.token).toBeGreaterThan(first.token);
    expect(driver.claimsOf("acquire").length).toBeGreaterThanOrEqual(2);
  });
});

describe("tryLock", () => {
  test("is refused without the server while a lock of this process holds the key", async () => {
    const { clock, driver, locks } = scenario();
    const lock = await clock.until(locks.lock("a"));
    expect(await clock.until(locks.tryLock("a"))).toBeUndefined();
    expect(driver.of("acquire")).toHaveLength(1);
    expect(await clock.until(locks.tryWithLock("a", () => "ran"))).toMatchObject({
      acquired: false,
      holder: { token: lock.token },
    });
  });

  test("asks the server again while a waiter of this process sleeps", async () => {
    const { clock, driver, locks } = scenario({ retry: fixedInterval(10_000) });
    const free = driver.table.occupy("a");
    const waiting = watchPromise(locks.lock("a", { waitMs: 60_000 }));
    await clock.advance(100);
    free();
    expect(await clock.until(locks.tryLock("a"))).toBeUndefined();
    expect(waiting.state).toBe("resolved"); // First come, first served: the one before it got the lock.
  });

  test("gets the lock when the waiter before it is refused in another mode and the key is free for it", async () => {
    const { clock, driver, locks } = scenario({ retry: fixedInterval(10_000) });
    driver.table.occupy("a", 60_000, "reader", "shared");
    void watchPromise(locks.lock("a", { waitMs: 60_000 }));
    await clock.advance(100);
    expect(await clock.until(locks.tryLock("a", { mode: "shared" }))).toBeUndefined();
  });

  test("waits for a release that is on its way, and then gets the lock", async () => {
    const { clock, driver, locks } = scenario();
    driver.always("release", slow(5, 5));
    const lock = await clock.until(locks.lock("a"));
    const unlocking = lock.unlock();
    const tried = watchPromise(locks.tryLock("a"));
    expect(await clock.until(unlocking)).toBe(true);
    await clock.advance(5);
    expect(tried).toMatchObject({ state: "resolved", value: { isHeld: true } });
  });

  test("of many at once gives the lock to one", async () => {
    const { clock, driver, locks } = scenario();
    const tried = await clock.until(Promise.all(Array.from({ length: 100 }, () => locks.tryLock("a"))));
    expect(tried.filter((lock) => lock !== undefined)).toHaveLength(1);
    expect(driver.claimsOf("acquire")).toHaveLength(1);
  });

  test("of many shared at once gives it to as many as the limit allows", async () => {
    const { clock, driver, locks } = scenario();
    const tried = await clock.until(Promise.all(Array.from({ length: 10 }, () => locks.tryLock("a", { mode: "shared", limit: 4 }))));
    expect(tried.filter((lock) => lock !== undefined)).toHaveLength(4);
    expect(driver.table.holders("a")).toHaveLength(4);
  });

  test("is refused by a holder elsewhere and does not wait", async () => {
    const { clock, driver, locks } = scenario();
    driver.table.occupy("a");
    expect(await clock.until(locks.tryLock("a"))).toBeUndefined();
    expect(clock.now()).toBe(0);
    expect(locks.stats()).toMatchObject({ total: 1, failed: 1 });
  });
});
