// Faults between the driver and a server: lost replies, black holes, delays, refused connections.

import type { LockDriver } from "@dlock/core";
import { startProxy, type TcpProxy } from "@dlock-tooling/faults";
import { type Service, startRedis } from "@dlock-tooling/services";
import { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { redisDriver } from "../src/index.ts";
import { call, exclusive, expectError, grant, only, persist, ttlMs } from "./claims.ts";

let server: Service;
let proxy: TcpProxy;
let direct: LockDriver;
let client: Redis;
let driver: LockDriver;

const isScript = (bytes: Buffer) => /evalsha/i.test(bytes.toString());

beforeAll(async () => {
  server = await startRedis();
  direct = redisDriver({ url: server.url });
});

afterAll(async () => {
  await direct.close();
  await server.stop();
});

beforeEach(async () => {
  proxy = await startProxy(server);
});

afterEach(async () => {
  await driver.close();
  client?.disconnect();
  await proxy.close();
});

const kinds = {
  "its own connection": () => redisDriver({ url: proxy.through(server.url) }),
  "the user's client": () => {
    client = new Redis(proxy.through(server.url));
    // What ioredis says about lost connections is not the subject here.
    client.on("error", () => {});
    return redisDriver({ client });
  },
};

describe.each(Object.entries(kinds))("over %s", (kind, create) => {
  const key = (name: string) => `${name}, ${kind}`;

  beforeEach(async () => {
    driver = create();
    await grant(driver, key("warm-up"));
  });

  it("a grant whose reply was lost is recognised when its owner asks again", async () => {
    const cut = proxy.cutAfter(isScript);
    const outcome = await only(driver.acquire([exclusive(key("cut after"))], call));
    await cut;
    const [held] = await direct.inspect(key("cut after"), call);
    // The user's client sends it again by itself, which the server takes for what it is.
    if (kind === "the user's client") expect(outcome).toEqual({ acquired: true, token: held?.token, ttlMs });
    else expectError(outcome, { applied: "unknown", retryable: true, says: /broke before the answer/ });
    const again = await persist(2_000, () => only(driver.acquire([exclusive(key("cut after"))], call)));
    expect(again).toMatchObject({ acquired: true, token: held?.token });
    expect(await only(driver.release([{ key: key("cut after"), owner: "me" }], call))).toBe(true);
    expect(await direct.inspect(key("cut after"), call)).toEqual([]);
  });

  it("a request that was cut before the server saw it leaves no ghost", async () => {
    const cut = proxy.cutBefore(isScript);
    await only(driver.acquire([exclusive(key("cut before"), "first")], call));
    await cut;
    await persist(2_000, () => only(driver.release([{ key: key("cut before"), owner: "first" }], call)));
    expect(await persist(2_000, () => only(driver.acquire([exclusive(key("cut before"), "second")], call)))).toMatchObject({
      acquired: true,
    });
  });

  it.each(["requests", "replies", "both"] as const)(
    "a call into a black hole of %s ends in time, and the driver works when it heals",
    async (way) => {
      const name = key(`hole of ${way}`);
      proxy.blackHole(way);
      const start = performance.now();
      const outcome = await only(driver.acquire([exclusive(name, "lost")], { timeoutMs: 300 }));
      const tookMs = performance.now() - start;
      expect(tookMs).toBeGreaterThanOrEqual(295);
      expect(tookMs).toBeLessThan(1_300);
      expectError(outcome, { applied: "unknown", retryable: true, says: /did not answer in time/ });
      // A second call has no connection, or the same deaf one.
      expectError(await only(driver.acquire([exclusive(name, "lost")], { timeoutMs: 300 })), {
        applied: kind === "the user's client" ? "unknown" : "no",
        retryable: true,
        says: /did not answer in time|not ready within \d+ ms/,
      });
      proxy.heal();
      // What was under way may arrive now, however late: undoing it by owner is always possible.
      await persist(5_000, () => only(driver.release([{ key: name, owner: "lost" }], call)));
      await expect.poll(async () => (await direct.inspect(name, call)).length).toBe(0);
      expect(await grant(driver, name, "next")).toBeGreaterThan(0n);
    },
  );

  it("a slow server is used as it is", async () => {
    proxy.delay(100);
    const token = await grant(driver, key("slow"));
    expect(await only(driver.extend([{ key: key("slow"), owner: "me", token, ttlMs, longestMs: ttlMs }], call))).toBe(true);
    expect(await only(driver.release([{ key: key("slow"), owner: "me", token }], call))).toBe(true);
  });
});

describe("a connection of its own", () => {
  it("stays when a call was too short for a slow server that answers others", async () => {
    driver = redisDriver({ url: proxy.through(server.url) });
    await grant(driver, "patience");
    proxy.delay(100);
    const steady = [0, 60, 120].map(async (ms) => {
      await new Promise((resolve) => setTimeout(resolve, ms));
      return only(driver.acquire([exclusive(`patience ${ms}`)], call));
    });
    await new Promise((resolve) => setTimeout(resolve, 90));
    expectError(await only(driver.acquire([exclusive("hasty")], { timeoutMs: 150 })), {
      applied: "unknown",
      retryable: true,
      says: /did not answer in time/,
    });
    for (const outcome of await Promise.all(steady)) expect(outcome).toMatchObject({ acquired: true });
    expect(proxy.connections).toBe(1);
  });

  it("stays when the answers were there before the process, which was busy, could read them", async () => {
    driver = redisDriver({ url: server.url });
    await grant(driver, "busy");
    const hasty = driver.acquire([exclusive("busy hasty")], { timeoutMs: 50 });
    const patient = only(driver.acquire([exclusive("busy patient")], call));
    // Long enough for the requests to be written, and too short for an answer to be read.
    await Promise.resolve();
    const until = performance.now() + 150;
    while (performance.now() < until);
    await hasty;
    expect(await patient).toMatchObject({ acquired: true });
  });

  it("is refused with a clear error that nothing was applied, and is there when the server is", async () => {
    proxy.refuse();
    driver = redisDriver({ url: proxy.through(server.url) });
    const outcome = await only(driver.acquire([exclusive("refused")], call));
    expectError(outcome, { applied: "no", retryable: true, says: /no connection to Redis .*; check that it runs and can be reached/ });
    proxy.heal();
    expect(await persist(5_000, () => only(driver.acquire([exclusive("refused")], call)))).toMatchObject({ acquired: true });
  });

  it("that a frozen server accepted is given up", async () => {
    const frozen = await startRedis();
    frozen.pause();
    driver = redisDriver({ url: frozen.url });
    const outcome = await only(driver.acquire([exclusive("frozen")], { timeoutMs: 500 }));
    expectError(outcome, { applied: "no", retryable: true, says: /not ready within 500 ms, status connect/ });
    frozen.resume();
    expect(await grant(driver, "frozen")).toBeGreaterThan(0n);
    frozen.pause();
    expectError(await only(driver.acquire([exclusive("frozen")], { timeoutMs: 300 })), {
      applied: "unknown",
      retryable: true,
      says: /did not answer in time/,
    });
    const start = performance.now();
    await driver.close();
    expect(performance.now() - start).toBeLessThan(500);
    await frozen.stop();
  });

  it("is closed without waiting for a silent server", async () => {
    driver = redisDriver({ url: proxy.through(server.url) });
    await grant(driver, "closing");
    proxy.blackHole();
    const pending = only(driver.acquire([exclusive("closing 2")], call));
    await driver.close();
    expectError(await pending, { applied: "unknown", retryable: true, says: /broke before the answer/ });
    expectError(await only(driver.acquire([exclusive("closing 3")], call)), { applied: "no", retryable: true, says: /driver is closed/ });
  });
});
