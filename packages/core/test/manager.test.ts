/** Several providers under names. */
import { describe, expect, test } from "vitest";
import {
  createLockManager,
  createLockManagerFromConfig,
  driverError,
  type LockProvider,
  ProviderClosedError,
  registerBackend,
} from "../src/index.ts";
import { errorOf, scenario } from "./support/scenario.ts";
import { failing, ScriptedDriver } from "./support/scripted-driver.ts";
import { VirtualClock } from "./support/virtual-clock.ts";

function two() {
  const orders = scenario();
  const cache = scenario();
  const manager = createLockManager();
  manager.register("orders", orders.locks);
  manager.register("cache", cache.locks);
  return { manager, orders, cache };
}

/** What stands for a backend in configs of this file. */
const opened: { url: string; closed: boolean }[] = [];
registerBackend("managed", {
  fromUrl(url) {
    const driver = new ScriptedDriver(new VirtualClock());
    const entry = { url: String(url), closed: false };
    opened.push(entry);
    if (url.host === "broken") driver.ping = () => Promise.reject(driverError("broken", { applied: "no", retryable: false }));
    driver.close = async () => {
      entry.closed = true;
    };
    return driver;
  },
});

describe("a manager", () => {
  test("passes calls on to the provider of the name, and only to that", async () => {
    const { manager, orders, cache } = two();
    await manager.withLock("orders", "key", async (lock) => {
      expect(await manager.isLocked("orders", "key")).toBe(true);
      expect(await manager.isLocked("cache", "key")).toBe(false);
      expect(await manager.inspect("cache", "key")).toEqual([]);
      const [holder] = await manager.inspect("orders", "key");
      expect(lock.owner.startsWith(holder?.owner as string)).toBe(true);
      await manager.renew("orders", "key", lock.owner, 60_000);
      expect(lock.remainingMs).toBeGreaterThan(50_000);
      const refused = await manager.tryWithLock("orders", "key", () => "not run");
      expect(refused).toMatchObject({ acquired: false, holder: { token: lock.token } });
    });
    expect(await manager.tryWithLock("orders", "key", { ttlMs: 1_000 }, () => "run")).toEqual({ acquired: true, value: "run" });
    expect(await manager.withLock("cache", "key", { waitMs: 0 }, () => "run")).toBe("run");
    expect(manager.stats()).toMatchObject({ orders: { total: 3, failed: 1 }, cache: { total: 1, failed: 0 } });
    expect(manager.get("cache")).toBe(cache.locks);
    expect(manager.get("orders")).toBe(orders.locks);
    await manager.close();
  });

  test("needs no name when there is one provider only", async () => {
    const { locks } = scenario();
    const manager = createLockManager();
    expect(() => manager.get()).toThrow(new RangeError("name is needed; there are: none"));
    manager.register("main", locks);
    expect(manager.get()).toBe(locks);
    manager.register("other", scenario().locks);
    expect(() => manager.get()).toThrow(new RangeError('name is needed; there are: "main", "other"'));
    await manager.close();
  });

  test("says which names there are when it does not know one", async () => {
    const { manager } = two();
    const message = 'no provider is registered as "ordres"; there are: "orders", "cache"';
    expect(() => manager.get("ordres")).toThrow(new RangeError(message));
    await expect(manager.withLock("ordres", "key", () => 1)).rejects.toThrow(message);
    await expect(manager.tryWithLock("ordres", "key", () => 1)).rejects.toThrow(message);
    await expect(manager.isLocked("ordres", "key")).rejects.toThrow(message);
    await expect(manager.inspect("ordres", "key")).rejects.toThrow(message);
    await expect(manager.renew("ordres", "key", "owner", 1_000)).rejects.toThrow(message);
    await manager.close();
  });

  test("refuses a name that is taken or none, and what is no provider", async () => {
    const { manager, orders } = two();
    expect(manager.names).toEqual(["orders", "cache"]);
    expect(() => manager.register("orders", orders.locks)).toThrow(new RangeError('the name "orders" is taken'));
    expect(() => manager.register("", orders.locks)).toThrow(
      new TypeError("name must be a string that is not empty, got a value of type string"),
    );
    expect(() => manager.register("third", {} as LockProvider)).toThrow(
      new TypeError("provider must be a LockProvider, got a value of type object"),
    );
    await manager.close();
  });

  test("tells the health of each provider, with the latency, when some are sick", async () => {
    const { manager, orders } = two();
    orders.driver.always("ping", failing(driverError("the disk is full", { applied: "no", retryable: true })));
    const health = await manager.health();
    expect(health.cache).toEqual({ healthy: true, latencyMs: expect.any(Number) });
    expect(health.orders).toEqual({
      healthy: false,
      latencyMs: expect.any(Number),
      error: expect.objectContaining({ code: "DLOCK_BACKEND", message: expect.stringContaining("the disk is full") }),
    });
    await manager.close();
  });

  test("closes every provider, even when one fails, once, and refuses what comes later", async () => {
    const { manager, orders, cache } = two();
    const fault = new Error("cannot close");
    manager.register("foreign", Object.assign(Object.create(cache.locks) as LockProvider, { close: () => Promise.reject(fault) }));
    const error = (await errorOf(manager.close())) as AggregateError;
    expect(error).toBeInstanceOf(AggregateError);
    expect(error.message).toBe('could not close "foreign"');
    expect(error.errors).toEqual([fault]);
    expect(await errorOf(manager.close())).toBe(error);
    for (const { locks } of [orders, cache]) await expect(locks.lock("key")).rejects.toBeInstanceOf(ProviderClosedError);
    expect(() => manager.register("late", orders.locks)).toThrow(ProviderClosedError);
    await expect(manager.withLock("orders", "key", () => 1)).rejects.toBeInstanceOf(ProviderClosedError);
  });

  test("is made from a config with many entries, LockConfigs and URLs", async () => {
    opened.length = 0;
    await using manager = await createLockManagerFromConfig({
      orders: { provider: "managed", managed: { url: "managed://orders" } } as { provider: string },
      cache: "managed://cache",
      jobs: new URL("managed://jobs"),
    });
    expect(manager.names).toEqual(["orders", "cache", "jobs"]);
    expect(opened.map(({ url }) => url)).toEqual(["managed://orders", "managed://cache", "managed://jobs"]);
    await manager.close();
    expect(opened.every(({ closed }) => closed)).toBe(true);
  });

  test("is not made, and all that was opened is closed, when one entry fails", async () => {
    opened.length = 0;
    const error = await errorOf(createLockManagerFromConfig({ a: "managed://fine", b: "managed://broken", c: "managed://fine" }));
    expect(error).toMatchObject({ code: "DLOCK_BACKEND" });
    expect(opened.map(({ closed }) => closed)).toEqual([true, true, true]);
  });
});
