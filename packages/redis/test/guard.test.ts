// The guard for data in Redis: which token may write, under which names, and for how long.
import { randomBytes } from "node:crypto";
import { createLockProvider, type Lock, LockNotHeldError, type LockProvider, systemClock } from "@dlock/core";
import { startRedisCluster } from "@dlock-tooling/services";
import { Cluster, Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { redisDriver, redisGuard } from "../src/index.ts";
import { type Server, useRedis } from "./servers.ts";

let server: Server;
let client: Redis;
const closing: (() => unknown)[] = [];

beforeAll(async () => {
  server = await useRedis();
  client = new Redis(server.url);
  closing.push(() => client.disconnect());
});

afterAll(async () => {
  for (const close of closing.reverse()) await close();
  await server.stop();
});

function open(options: Parameters<typeof createLockProvider>[1] = {}): LockProvider {
  const locks = createLockProvider(redisDriver({ url: server.url, prefix: server.prefix }), options);
  closing.push(() => locks.close());
  return locks;
}

let made = 0;
const unique = () => `${server.prefix}data-${randomBytes(4).toString("hex")}-${++made}`;

/** A handle as any backend may give one. */
const holder = (token: bigint) => ({ key: "k", token, mode: "exclusive", isHeld: true }) as Lock;

const fenced = expect.objectContaining({ code: "DLOCK_LOST", reason: "fenced", key: "k" });

describe("a guarded write", () => {
  it("of each holder in turn is made, also twice, and after a hand-off inside the process", async () => {
    const locks = open();
    const guard = redisGuard({ client });
    const key = unique();
    const write = (value: string) =>
      locks.withLock("turns", async (lock) => {
        await guard.set(lock, key, "at first");
        await guard.set(lock, key, value);
        return client.get(key);
      });
    const values = ["one", "two", "three", "four"];
    expect(await Promise.all(values.map(write))).toEqual(values);
    expect(locks.stats().handOffs).toBeGreaterThan(0);
  });

  it("of a stale holder is refused once its successor has written, and changes nothing", async () => {
    // A clock that stands still lets no second attempt come: the first must have the time it takes, whatever the TTL.
    const suspended = { ttlMs: 50, attemptTimeoutMs: 10_000, clock: { ...systemClock, now: () => 0 } };
    const guard = redisGuard({ client });
    const key = unique();
    const stale = await open(suspended).lock("stale");
    await guard.set(stale, key, "stale, in time");
    await open().withLock("stale", { waitMs: 10_000 }, async (successor) => {
      await guard.set(successor, key, "successor");
      expect(stale.isHeld).toBe(true); // So it believes.
      await expect(guard.set(stale, key, "late")).rejects.toMatchObject({ code: "DLOCK_LOST", reason: "fenced", key: "stale" });
      expect(await client.get(key)).toBe("successor");
    });
    await expect(guard.set(stale, key, "later still")).rejects.toThrow(/lost/);
    expect(await client.get(key)).toBe("successor");
  });

  it.each([
    // Equal as doubles.
    [2n ** 53n + 1n, 2n ** 53n],
    [1_795_258_000_000_001n << 10n, (1_795_258_000_000_001n << 10n) - 1n],
    [2n ** 73n - 1n, 2n ** 73n - 2n],
    // As text the smaller sorts later.
    [1_000n, 999n],
    [10n ** 18n, 10n ** 18n - 1n],
    [1n, 0n],
  ])("with token %d shuts out %d, and is not shut out by it", async (newer, older) => {
    const guard = redisGuard({ client });
    const key = unique();
    await guard.set(holder(older), key, "older");
    await guard.set(holder(newer), key, "newer");
    await expect(guard.set(holder(older), key, "late")).rejects.toThrow(fenced);
    await guard.set(holder(newer), key, "newer again");
    expect(await client.get(key)).toBe("newer again");
  });

  it("is made by EVAL where the server has forgotten the script", async () => {
    const guard = redisGuard({ client });
    const key = unique();
    await client.script("FLUSH");
    await guard.set(holder(1n), key, "one");
    await client.script("FLUSH");
    await guard.set(holder(2n), key, "two");
    expect(await client.get(key)).toBe("two");
  });

  it("takes bytes as they are, and a key that was of another type", async () => {
    const guard = redisGuard({ client });
    const key = unique();
    const bytes = Buffer.from([0, 255, 128, 10, 13]);
    await client.rpush(key, "x");
    await guard.set(holder(1n), key, bytes);
    expect(await client.getBuffer(key)).toEqual(bytes);
  });

  it("goes through a client that pipelines by itself, and puts the client's keyPrefix before the key", async () => {
    const prefixed = new Redis(server.url, { keyPrefix: `${server.prefix}app:`, enableAutoPipelining: true });
    closing.push(() => prefixed.disconnect());
    await redisGuard({ client: prefixed }).set(holder(5n), "job", "value");
    expect(await prefixed.get("job")).toBe("value");
    // Whoever names the key in full means the same key, and meets the same fence.
    await expect(redisGuard({ client }).set(holder(4n), `${server.prefix}app:job`, "late")).rejects.toThrow(fenced);
  });
});

describe("a fence", () => {
  it("belongs to one key, whatever braces it has", async () => {
    const guard = redisGuard({ client, prefix: `${server.prefix}fence:` });
    const keys = ["job", "{job}", "{job}job", "x{job}", "{job}{job}", "a{b", "{{job}", "{job}:fence"].map((key) => unique() + key);
    for (const key of keys) await guard.set(holder(9n), key, key);
    for (const key of keys) expect(await client.get(key)).toBe(key);
    const names = await client.keys(`${server.prefix}fence:*`);
    expect(names).toHaveLength(keys.length);
    for (const key of keys) await guard.forget(key);
    expect(await client.keys(`${server.prefix}fence:*`)).toEqual([]);
  });

  it("lives as long as the value, or a day longer than a value that ends", async () => {
    const guard = redisGuard({ client });
    const key = unique();
    const fence = `fence:{${key}}${key}`;
    await guard.set(holder(1n), key, "for ever");
    expect([await client.ttl(key), await client.ttl(fence)]).toEqual([-1, -1]);
    await guard.set(holder(2n), key, "for a minute", { pxMs: 60_000 });
    const lives = await client.pttl(key);
    expect(lives).toBeGreaterThan(50_000);
    expect(lives).toBeLessThanOrEqual(60_000);
    expect((await client.pttl(fence)) - lives).toBeGreaterThan(86_300_000);
    await guard.set(holder(3n), key, "for ever again");
    expect([await client.ttl(key), await client.ttl(fence)]).toEqual([-1, -1]);
    await client.del(key);
    await expect(guard.set(holder(2n), key, "late")).rejects.toThrow(fenced);
    await guard.forget(key);
    await guard.set(holder(2n), key, "the first again");
  });

  it("with somebody else's text under its name says so", async () => {
    const key = unique();
    await client.set(`fence:{${key}}${key}`, "somebody's");
    await expect(redisGuard({ client }).set(holder(1n), key, "value")).rejects.toThrow(/FOREIGN text/);
    expect(await client.get(key)).toBeNull();
  });
});

describe("a guard refuses", () => {
  it("a lock that is released, a shared one, several at once, and nothing", async () => {
    const locks = open();
    const guard = redisGuard({ client });
    const key = unique();
    const released = await locks.lock("released");
    await released.unlock();
    await expect(guard.set(released, key, "wrong")).rejects.toThrow(LockNotHeldError);
    const shared = await locks.lock("reader", { mode: "shared" });
    const all = await locks.lockAll(["x", "y"]);
    for (const wrong of [shared, all, undefined]) await expect(guard.set(wrong as Lock, key, "wrong")).rejects.toThrow(TypeError);
    expect(await client.get(key)).toBeNull();
  });

  it("keys, values, times and prefixes that cannot be", async () => {
    const guard = redisGuard({ client });
    for (const key of ["", "a}b", "{}x", "x{}{y}"]) await expect(guard.set(holder(1n), key, "x")).rejects.toThrow(RangeError);
    for (const pxMs of [0, -1, 1.5, Number.NaN]) await expect(guard.set(holder(1n), unique(), "x", { pxMs })).rejects.toThrow(RangeError);
    await expect(guard.set(holder(1n), unique(), 7 as unknown as string)).rejects.toThrow(TypeError);
    for (const prefix of ["", "fence{", "}"]) expect(() => redisGuard({ client, prefix })).toThrow(RangeError);
  });
});

it("on a Cluster the fence lies in the slot of its key, with braces and with a keyPrefix too", async () => {
  const cluster = await startRedisCluster();
  closing.push(() => cluster.stop());
  for (const keyPrefix of ["", "app:", "{app}:"]) {
    const sharded = new Cluster([{ host: "127.0.0.1", port: cluster.nodes[0]?.port as number }], { keyPrefix });
    closing.push(() => sharded.disconnect());
    const guard = redisGuard({ client: sharded });
    const keys = ["job", "{user:7}:cart", "x{user:7}", "{{user}", "a{b", "grün", ...Array.from({ length: 20 }, (_, i) => `k${i}`)];
    for (const key of keys) {
      await guard.set(holder(2n), key, key);
      await expect(guard.set(holder(1n), key, "late")).rejects.toThrow(fenced);
      expect(await sharded.get(key)).toBe(key);
    }
  }
}, 60_000);
