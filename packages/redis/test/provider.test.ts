// The whole of dlock over Redis: the provider's promises on a real server, with faults in between.
import { randomInt } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { createLockProvider, createLockProviderFromConfig, createLockProviderFromUrl, type LockProvider } from "@dlock/core";
import { startProxy, type TcpProxy } from "@dlock-tooling/faults";
import { type Service, startRedis } from "@dlock-tooling/services";
import { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { backend, redisDriver } from "../src/index.ts";

let server: Service;
const closing: (() => unknown)[] = [];

beforeAll(async () => {
  server = await startRedis();
});

afterAll(() => server.stop());

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function proxied(): Promise<TcpProxy> {
  const proxy = await startProxy(server);
  closing.push(() => proxy.close());
  return proxy;
}

function provide(url = server.url): LockProvider {
  const provider = createLockProvider(redisDriver({ url }));
  closing.push(() => provider.close());
  return provider;
}

it("a URL and a configuration make providers of the same locks", async () => {
  const byUrl = await createLockProviderFromUrl(`${server.url}?ttl=5s`);
  const byConfig = await createLockProviderFromConfig({
    provider: "redis",
    redis: { connection: { host: server.host, port: server.port } },
  });
  closing.push(
    () => byUrl.close(),
    () => byConfig.close(),
  );
  const lock = await byUrl.lock("config");
  expect(await byConfig.tryLock("config")).toBeUndefined();
  await lock.unlock();
  expect(() => backend.fromConfig({ host: "x" }, "config.redis")).toThrow(/config\.redis\.host is unknown/);
  expect(() => backend.fromConfig({}, "config.redis")).toThrow(/needs one of url, client, connection/);
});

it("a waiter of another process is handed the lock by the release, not by the clock", async () => {
  const [one, two] = [provide(), provide()];
  const lock = await one.lock("hand over", { ttlMs: 60_000 });
  const waiting = two.lock("hand over", { waitMs: 30_000, ttlMs: 60_000 });
  const admin = new Redis(server.url);
  await expect.poll(() => admin.pubsub("CHANNELS")).toHaveLength(1);
  admin.disconnect();
  await lock.unlock();
  const next = await waiting;
  expect(next.token > lock.token).toBe(true);
  await next.unlock();
}, 10_000);

it("a holder behind a black hole knows that it lost before another can hold", async () => {
  const proxy = await proxied();
  const [cut, other] = [provide(proxy.through(server.url)), provide()];
  const lock = await cut.lock("black hole", { ttlMs: 1_000 });
  proxy.blackHole();
  let lostAt = Number.POSITIVE_INFINITY;
  lock.signal.addEventListener("abort", () => {
    lostAt = performance.now();
  });
  const next = await other.lock("black hole", { waitMs: 10_000 });
  expect(lostAt).toBeLessThan(performance.now());
  expect(lock.isHeld).toBe(false);
  expect(next.token > lock.token).toBe(true);
  await next.unlock();
});

it("a flush is told at the next renewal", async () => {
  const provider = provide();
  const lock = await provider.lock("flushed", { ttlMs: 900 });
  const lost = new Promise<unknown>((resolve) => lock.signal.addEventListener("abort", () => resolve(lock.signal.reason)));
  const admin = new Redis(server.url);
  await admin.flushall();
  admin.disconnect();
  expect(await lost).toMatchObject({ code: "DLOCK_LOST", reason: "refused" });
});

describe("many providers under faults", () => {
  it("never hold a key together, and their tokens follow the order of their grants", async () => {
    const proxies = await Promise.all([1, 2, 3, 4].map(() => proxied()));
    const providers = proxies.map((proxy) => provide(proxy.through(server.url)));
    const keys = ["x", "y"];
    const holders = new Map<string, number>();
    const last = new Map<string, bigint>();
    const overlaps: string[] = [];
    let sections = 0;
    const endsAt = performance.now() + 6_000;
    const work = providers.flatMap((provider) =>
      [0, 1, 2].map(async () => {
        while (performance.now() < endsAt) {
          const key = keys[randomInt(keys.length)] as string;
          try {
            const lock = await provider.lock(key, { ttlMs: 600, waitMs: 3_000 });
            if (!lock.isHeld) continue;
            // Between the check and the end of this stretch nothing can happen: whoever is told it holds must be alone.
            if ((holders.get(key) ?? 0) > 0) overlaps.push(`${key} twice`);
            if (lock.token <= (last.get(key) ?? 0n)) overlaps.push(`${key} back to ${lock.token}`);
            last.set(key, lock.token);
            holders.set(key, 1);
            const leave = () => holders.set(key, 0);
            lock.signal.addEventListener("abort", leave, { once: true });
            await sleep(randomInt(20));
            lock.signal.removeEventListener("abort", leave);
            if (lock.isHeld) {
              leave();
              sections += 1;
            }
            await lock.unlock();
          } catch (error) {
            expect((error as { code?: string }).code).toMatch(/^DLOCK_(TIMEOUT|BACKEND|LOST)$/);
          }
        }
      }),
    );
    const trouble = (async () => {
      while (performance.now() < endsAt - 1_500) {
        const proxy = proxies[randomInt(proxies.length)] as TcpProxy;
        const kind = randomInt(4);
        if (kind === 0) proxy.cut();
        else if (kind === 1) void proxy.cutAfter();
        else if (kind === 2) proxy.blackHole((["requests", "replies", "both"] as const)[randomInt(3)]);
        else proxy.delay(50);
        await sleep(randomInt(100, 400));
        proxy.heal();
      }
    })();
    await Promise.all([...work, trouble]);
    expect(overlaps).toEqual([]);
    expect(sections).toBeGreaterThan(50);
  }, 30_000);
});
