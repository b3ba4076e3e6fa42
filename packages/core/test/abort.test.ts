/** The caller's signal: it ends a wait at once, and nothing stays behind. */
import { getEventListeners } from "node:events";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { errorOf, scenario, watchPromise } from "./support/scenario.ts";
import { late, lost, silent, slow } from "./support/scripted-driver.ts";

const listenersOf = (signal: AbortSignal) => getEventListeners(signal, "abort").length;

describe("an abort", () => {
  test("before the call rejects with the reason and asks nobody", async () => {
    const { clock, driver, locks } = scenario();
    const reason = { why: "not today" };
    expect(await errorOf(clock.until(locks.lock("a", { signal: AbortSignal.abort(reason) })))).toBe(reason);
    expect(driver.calls).toHaveLength(0);
    expect(clock.pending).toBe(0);
  });

  test("in flight rejects at once with the caller's reason, leaves no listener, and a grant that comes is given back", async () => {
    const { clock, driver, locks } = scenario();
    driver.next("acquire", slow(0, 500));
    const controller = new AbortController();
    const seen = watchPromise(locks.lock("a", { signal: controller.signal }));
    await clock.advance(100);
    const reason = new Error("changed my mind");
    controller.abort(reason);
    await clock.settle();
    expect(seen).toMatchObject({ state: "rejected" });
    expect(seen.error).toBe(reason);
    expect(listenersOf(controller.signal)).toBe(0);
    await clock.advance(400);
    expect(driver.table.size).toBe(0);
    expect(driver.claimsOf("release")).toMatchObject([{ key: "a", token: 1n }]);
    await clock.advance(1_000);
    expect(clock.pending).toBe(0);
    expect(locks.stats()).toMatchObject({ waiting: 0, active: 0, failed: 0, total: 0 });
  });

  test("in flight of an attempt whose answer is lost is undone until it can no longer be delivered", async () => {
    const { clock, driver, locks } = scenario({ attemptTimeoutMs: 1_000 });
    driver.next("acquire", late(4_500));
    const controller = new AbortController();
    const seen = watchPromise(locks.lock("a", { signal: controller.signal }));
    await clock.advance(10);
    controller.abort();
    await clock.settle();
    expect(seen.state).toBe("rejected");
    expect((seen.error as Error).name).toBe("AbortError");
    await clock.advance(4_490);
    expect(driver.table.size).toBe(1);
    await clock.advance(1_100);
    expect(driver.table.size).toBe(0);
  });

  test("lets the next local waiter try at once", async () => {
    const { clock, driver, locks } = scenario();
    driver.next("acquire", silent);
    const controller = new AbortController();
    const first = watchPromise(locks.lock("a", { signal: controller.signal }));
    const second = watchPromise(locks.lock("a"));
    await clock.advance(10);
    controller.abort();
    await clock.advance(60); // The claim before it still hangs in the batcher.
    expect(first.state).toBe("rejected");
    expect(second.state).toBe("resolved");
  });

  test("while waiting rejects at once and gives nothing back that was not taken", async () => {
    const { clock, driver, locks } = scenario({}, { watch: true });
    driver.table.occupy("a");
    const controller = new AbortController();
    const seen = watchPromise(locks.lock("a", { signal: controller.signal, waitMs: 60_000 }));
    await clock.advance(500);
    controller.abort("enough");
    await clock.settle();
    expect(seen.error).toBe("enough");
    expect(driver.of("release")).toHaveLength(0);
    expect(driver.table.watched).toBe(0);
    await clock.advance(2_000);
    expect(clock.pending).toBe(0);
  });

  test("in the local queue rejects at once, and the others keep their order", async () => {
    const { clock, locks } = scenario();
    const lock = await clock.until(locks.lock("a"));
    const order: number[] = [];
    const controllers = Array.from({ length: 6 }, () => new AbortController());
    const waits = controllers.map(({ signal }, index) =>
      locks.lock("a", { signal, waitMs: 60_000 }).then(
        (next) => {
          order.push(index);
          return next.unlock();
        },
        () => order.push(-index),
      ),
    );
    await clock.settle();
    controllers[2]?.abort();
    controllers[4]?.abort();
    await clock.settle();
    expect(order).toEqual([-2, -4]);
    await clock.until(lock.unlock());
    await clock.until(Promise.all(waits));
    expect(order).toEqual([-2, -4, 0, 1, 3, 5]);
    for (const { signal } of controllers) expect(listenersOf(signal)).toBe(0);
  });

  test("after the grant has no effect, and its listener is gone", async () => {
    const { clock, locks } = scenario();
    const controller = new AbortController();
    const lock = await clock.until(locks.lock("a", { signal: controller.signal }));
    expect(listenersOf(controller.signal)).toBe(0);
    controller.abort();
    await clock.settle();
    expect(lock.isHeld).toBe(true);
    expect(lock.signal.aborted).toBe(false);
  });

  test("of an owner the user gave undoes nothing: it may hold the key elsewhere", async () => {
    const { clock, driver, locks } = scenario({ attemptTimeoutMs: 1_000 });
    driver.next("acquire", lost);
    const controller = new AbortController();
    const seen = watchPromise(locks.lock("a", { owner: "me", signal: controller.signal }));
    await clock.advance(10);
    controller.abort();
    await clock.advance(90_000);
    expect(seen.state).toBe("rejected");
    expect(driver.of("release")).toHaveLength(0);
  });
});

describe("many operations on one signal", () => {
  const warnings: Error[] = [];
  const note = (warning: Error) => warnings.push(warning);
  beforeEach(() => {
    warnings.length = 0;
    process.on("warning", note);
  });
  afterEach(() => {
    process.off("warning", note);
  });

  test("share one listener, so that twenty of them print no warning of a leak", async () => {
    const { clock, driver, locks } = scenario();
    driver.always("acquire", silent);
    const controller = new AbortController();
    const errors = Promise.all(
      Array.from({ length: 20 }, (_, index) => errorOf(locks.lock(`key ${index % 12}`, { signal: controller.signal }))),
    );
    await clock.settle();
    expect(listenersOf(controller.signal)).toBe(1);
    const reason = new Error("all of them");
    controller.abort(reason);
    expect(new Set(await clock.until(errors))).toEqual(new Set([reason]));
    expect(listenersOf(controller.signal)).toBe(0);
    await clock.settle();
    expect(warnings).toEqual([]);
  });

  test("leave the listener for those that still wait", async () => {
    const { clock, driver, locks } = scenario();
    const free = driver.table.occupy("b");
    const { signal } = new AbortController();
    const waiting = locks.lock("b", { signal });
    await clock.until(locks.lock("a", { signal }));
    expect(listenersOf(signal)).toBe(1);
    free();
    await clock.until(waiting);
    expect(listenersOf(signal)).toBe(0);
  });
});
