// What a server can say or forget: each a clear error, and nothing held that was not granted.

import type { LockDriver } from "@dlock/core";
import { type Service, startRedis, startRedisCluster } from "@dlock-tooling/services";
import { Redis } from "ioredis";
import { afterEach, describe, expect, it } from "vitest";
import { redisDriver } from "../src/index.ts";
import { call, exclusive, expectError, grant, only, persist, ttlMs } from "./claims.ts";

const closing: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function serve(config: Record<string, string> = {}): Promise<{ server: Service; admin: Redis; open(url?: string): LockDriver }> {
  const server = await startRedis({ config });
  const admin = new Redis(server.url, { retryStrategy: () => 20 });
  admin.on("error", () => {});
  closing.push(
    () => server.stop(),
    () => admin.disconnect(),
  );
  const open = (url = server.url) => {
    const driver = redisDriver({ url });
    closing.push(() => driver.close());
    return driver;
  };
  return { server, admin, open };
}

describe("a server that forgets", () => {
  it("its scripts is given them again", async () => {
    const { admin, open } = await serve();
    const driver = open();
    const token = await grant(driver, "a");
    await admin.script("FLUSH");
    expect(await only(driver.extend([{ key: "a", owner: "me", token, ttlMs, longestMs: ttlMs }], call))).toBe(true);
    await admin.script("FLUSH");
    expect(await only(driver.release([{ key: "a", owner: "me", token }], call))).toBe(true);
  });

  it("everything (FLUSHALL) tells the loss at the next renewal, and its tokens do not go back", async () => {
    const { admin, open } = await serve();
    const driver = open();
    const token = await grant(driver, "a");
    await admin.flushall();
    expect(await only(driver.extend([{ key: "a", owner: "me", token, ttlMs, longestMs: ttlMs }], call))).toBe(false);
    expect(await only(driver.release([{ key: "a", owner: "me", token }], call))).toBe(false);
    expect(await grant(driver, "a", "next")).toBeGreaterThan(token);
  });

  it("nothing over a restart keeps the lock, its token and its order", async () => {
    const { server, open } = await serve({ appendonly: "yes", appendfsync: "always" });
    const driver = open();
    const token = await grant(driver, "a");
    await server.kill();
    await server.restart();
    expect(await persist(5_000, () => only(driver.extend([{ key: "a", owner: "me", token, ttlMs, longestMs: ttlMs }], call)))).toBe(true);
    expect(await only(driver.acquire([exclusive("a", "other")], call))).toMatchObject({ acquired: false, holder: { owner: "me", token } });
    expect(await only(driver.release([{ key: "a", owner: "me", token }], call))).toBe(true);
    expect(await grant(driver, "a", "other")).toBeGreaterThan(token);
  });

  it("its data over a restart tells the loss, and its tokens do not go back", async () => {
    const { server, open } = await serve();
    const driver = open();
    const token = await grant(driver, "a");
    await server.kill();
    await server.restart();
    expect(await persist(5_000, () => only(driver.extend([{ key: "a", owner: "me", token, ttlMs, longestMs: ttlMs }], call)))).toBe(false);
    expect(await grant(driver, "a", "next")).toBeGreaterThan(token);
  });
});

describe("a server whose clock is wrong", () => {
  it("beyond what a token can count says so", async () => {
    const { admin, open } = await serve();
    const driver = open();
    await grant(driver, "a");
    await admin.set("lock:{0}", "9007199254740990");
    expectError(await only(driver.acquire([exclusive("b")], call)), { applied: "no", retryable: false, says: /beyond the year 2255/ });
  });
});

describe("a server that refuses", () => {
  it("writes as a replica names the remedy, and serves again as a master", async () => {
    const { server, admin, open } = await serve();
    const driver = open();
    const token = await grant(driver, "a");
    await admin.replicaof("127.0.0.1", "1");
    expectError(await only(driver.acquire([exclusive("b")], call)), {
      applied: "no",
      retryable: true,
      says: /READONLY.*connect to the master/,
    });
    await expect(driver.ping(call)).rejects.toThrow(/READONLY/);
    await admin.replicaof("NO", "ONE");
    const extended = await persist(5_000, () => only(driver.extend([{ key: "a", owner: "me", token, ttlMs, longestMs: ttlMs }], call)));
    expect(extended).toBe(true);
    expect(server.pid).toBeGreaterThan(0);
  });

  it("memory (OOM, noeviction) grants nothing, and still renews and releases what is held", async () => {
    const { admin, open } = await serve({ "maxmemory-policy": "noeviction" });
    const driver = open();
    const token = await grant(driver, "a");
    await admin.config("SET", "maxmemory", "1");
    const [denied] = await driver.acquire([exclusive("b")], call);
    expectError(denied, { applied: "no", retryable: true, says: /OOM.*raise it or free memory/ });
    await expect(driver.ping(call)).rejects.toThrow(/OOM/);
    expect(await driver.inspect("b", call)).toEqual([]);
    expect(await only(driver.extend([{ key: "a", owner: "me", token, ttlMs: 2 * ttlMs, longestMs: 2 * ttlMs }], call))).toBe(true);
    expect(await only(driver.release([{ key: "a", owner: "me", token }], call))).toBe(true);
  });

  it("the password says so, without showing it", async () => {
    const { server, open } = await serve({ requirepass: "right" });
    const wrong = open(`redis://:secret@127.0.0.1:${server.port}`);
    expectError(await only(wrong.acquire([exclusive("a")], call)), {
      applied: "no",
      retryable: false,
      says: /WRONGPASS.*check user name and password/,
    });
    const none = open(`redis://127.0.0.1:${server.port}`);
    expectError(await only(none.acquire([exclusive("a")], call)), { applied: "no", retryable: false, says: /NOAUTH.*wants a password/ });
    expect(await grant(open(), "a")).toBeGreaterThan(0n);
  });

  it("more clients (maxclients) says so, and serves when there is room", async () => {
    const { admin, open } = await serve();
    await admin.config("SET", "maxclients", "1");
    const driver = open();
    expectError(await only(driver.acquire([exclusive("a")], call)), {
      applied: "no",
      retryable: true,
      says: /max number of clients.*raise it/,
    });
    await admin.config("SET", "maxclients", "100");
    expect(await persist(5_000, () => only(driver.acquire([exclusive("a")], call)))).toMatchObject({ acquired: true });
  });

  it("work while it loads its data says so", async () => {
    const { server, admin, open } = await serve({
      "key-load-delay": "400",
      "loading-process-events-interval-bytes": "4096",
      save: "900 1",
    });
    await admin.eval("for i = 1, 4000 do redis.call('SET', 'k' .. i, string.rep('x', 100)) end", 0);
    await admin.save();
    const driver = open();
    await grant(driver, "a");
    await server.kill();
    const restarted = server.restart();
    const outcomes: unknown[] = [];
    const outcome = await persist(20_000, async () => {
      const tried = await only(driver.acquire([exclusive("b")], { timeoutMs: 1_000 }));
      outcomes.push(tried);
      return tried;
    });
    await restarted;
    expect(outcome).toMatchObject({ acquired: true });
    const loading = outcomes.find((tried) => tried instanceof Error && tried.message.includes("LOADING"));
    expectError(loading, { applied: "no", retryable: true, says: /LOADING.*wait until it is done/ });
  });

  it("commands to a user without the permission says so, and needs no more than the README lists", async () => {
    const { server, admin, open } = await serve();
    const allowed =
      "+get +mget +set +setrange +del +hget +hset +hdel +hgetall +hlen +pexpire +pttl +time +eval +evalsha +publish +subscribe +unsubscribe +scan +info";
    await admin.acl("SETUSER", "locks", "on", ">pass", "resetkeys", "~lock:*", "resetchannels", "&lock:*", "-@all", ...allowed.split(" "));
    await admin.acl("SETUSER", "poor", "on", ">pass", "~*", "-@all", "+get", "+set");
    const driver = open(`redis://locks:pass@127.0.0.1:${server.port}`);
    const token = await grant(driver, "a");
    const shared = await grant(driver, "s", "one", { mode: "shared", limit: 1 });
    expect(await only(driver.acquire([exclusive("s", "two", { mode: "shared", limit: 1 })], call))).toMatchObject({ acquired: false });
    expect(await only(driver.acquire([exclusive("a", "two")], call))).toMatchObject({ acquired: false });
    const claim = { ttlMs, longestMs: ttlMs };
    expect(await driver.extend([{ key: "s", owner: "one", token: shared, ...claim }], call)).toEqual([true]);
    await driver.ping(call);
    const keys: string[] = [];
    for await (const record of driver.list({})) keys.push(record.key);
    expect(keys.sort()).toEqual(["a", "s"]);
    const woken = new Promise<void>((wake) => {
      void driver.watch?.({ key: "a", owner: "two" }, wake).then(() => driver.release([{ key: "a", owner: "me", token }], call));
    });
    await woken;
    expect(await driver.release([{ key: "s", owner: "one", token: shared }], call)).toEqual([true]);
    const poor = open(`redis://poor:pass@127.0.0.1:${server.port}`);
    expectError(await only(poor.acquire([exclusive("a")], call)), { applied: "no", retryable: false, says: /NOPERM.*README/ });
  });

  it("a command inside of a script says so as well: marking a lease that refuses somebody", async () => {
    const { server, admin, open } = await serve();
    await admin.acl("SETUSER", "old", "on", ">pass", "~*", "&*", "+@all", "-setrange");
    const driver = open(`redis://old:pass@127.0.0.1:${server.port}`);
    await grant(driver, "a");
    const refused = await only(driver.acquire([exclusive("a", "two")], call));
    expectError(refused, { applied: "no", retryable: false, says: /lacks a permission.*README/ });
  });
});

it("a Cluster needs no more permissions than the README lists", async () => {
  const cluster = await startRedisCluster();
  closing.push(() => cluster.stop());
  const allowed =
    "+get +mget +set +setrange +del +hget +hset +hdel +hgetall +hlen +pexpire +pttl +time +eval +evalsha +publish +subscribe +unsubscribe +scan +info +spublish +ssubscribe +sunsubscribe +cluster";
  for (const { url } of cluster.nodes) {
    const admin = new Redis(url);
    await admin.acl("SETUSER", "locks", "on", ">pass", "resetkeys", "~lock:*", "resetchannels", "&lock:*", "-@all", ...allowed.split(" "));
    admin.disconnect();
  }
  const driver = redisDriver({ url: `redis://locks:pass@127.0.0.1:${cluster.nodes[0]?.port}?cluster=true` });
  closing.push(() => driver.close());
  const keys = ["a", "b", "c", "d", "e", "f"];
  for (const key of keys) await grant(driver, key);
  const found: string[] = [];
  for await (const record of driver.list({})) found.push(record.key);
  expect(found.sort()).toEqual(keys);
  await driver.ping(call);
  expect((await driver.doctor(call)).map(({ role }) => role)).toEqual(["master", "master", "master"]);
  for (const key of keys) {
    const woken = new Promise<void>((wake) => {
      void driver.watch?.({ key, owner: "two" }, wake).then(() => driver.release([{ key, owner: "me" }], call));
    });
    await woken;
  }
  for (const { url } of cluster.nodes) {
    const admin = new Redis(url);
    await admin.acl("SETUSER", "locks", "-ssubscribe");
    admin.disconnect();
  }
  // Subscriptions that stand already may go on.
  const deaf = redisDriver({ url: `redis://locks:pass@127.0.0.1:${cluster.nodes[0]?.port}?cluster=true` });
  closing.push(() => deaf.close());
  await expect(deaf.watch?.({ key: "a", owner: "two" }, () => {})).rejects.toThrow(/NOPERM.*README/);
}, 30_000);

describe("a server with something else under a name", () => {
  it("answers that for the claim concerned, and decides the others of the batch", async () => {
    const { admin, open } = await serve();
    const driver = open();
    const names = ["list", "text", "free"];
    for (const key of names) await grant(driver, key);
    const records = (await admin.keys("lock:*")).filter((name) => /\}(list|text)$/.test(name)).sort();
    await driver.release(
      names.map((key) => ({ key, owner: "me" })),
      call,
    );
    await admin.rpush(records.find((name) => name.endsWith("list")) as string, "x");
    await admin.set(records.find((name) => name.endsWith("text")) as string, "somebody's");
    const expected = { applied: "no", retryable: false, says: /not a dlock record.*another prefix/ } as const;
    const acquired = await driver.acquire(
      names.map((key) => exclusive(key)),
      call,
    );
    expectError(acquired[0], expected);
    expectError(acquired[1], expected);
    expect(acquired[2]).toMatchObject({ acquired: true });
    const released = await driver.release(
      names.map((key) => ({ key, owner: "me" })),
      call,
    );
    expectError(released[0], expected);
    expectError(released[1], expected);
    expect(released[2]).toBe(true);
    expect(await admin.exists(...records)).toBe(2);
  });

  it("is left out of a list, and said of an inspected key", async () => {
    const { admin, open } = await serve();
    const driver = open();
    for (const key of ["hash", "set", "text"]) await grant(driver, key);
    for (const name of await admin.keys("lock:*")) {
      if (!/\}(hash|set|text)$/.test(name)) continue;
      await admin.del(name);
      if (name.endsWith("hash")) await admin.hset(name, "field", "value");
      else if (name.endsWith("set")) await admin.sadd(name, "member");
      else await admin.set(name, "");
    }
    await grant(driver, "ours");
    const found: string[] = [];
    for await (const record of driver.list({})) found.push(record.key);
    expect(found).toEqual(["ours"]);
    for (const key of ["hash", "set", "text"]) await expect(driver.inspect(key, call)).rejects.toThrow(/not a dlock record/);
    for (const mode of ["exclusive", "shared"] as const) {
      const outcomes = await driver.acquire(
        ["hash", "set", "text"].map((key) => exclusive(key, "me", { mode, limit: 1 })),
        call,
      );
      for (const outcome of outcomes) expectError(outcome, { applied: "no", retryable: false, says: /not a dlock record/ });
    }
  });

  it("refuses a client that spreads keys differently, before it locks anything", async () => {
    const { admin, open } = await serve();
    await admin.set("lock:{dlock}protocol", "dlock 1 groups=64 hash=other");
    const driver = open();
    expectError(await only(driver.acquire([exclusive("a")], call)), {
      applied: "no",
      retryable: false,
      says: /another dlock.*groups=64.*groups=32/,
    });
    expect(await admin.keys("lock:*")).toEqual(["lock:{dlock}protocol"]);
  });
});

it("the doctor tells what a server is, and what of it can lose locks", async () => {
  const { server, admin } = await serve();
  const driver = redisDriver({ url: server.url });
  closing.push(() => driver.close());
  const [facts] = await driver.doctor(call);
  expect(facts).toMatchObject({
    server: `127.0.0.1:${server.port}`,
    role: "master",
    persistence: "none",
    evictionPolicy: "noeviction",
    replicas: 0,
    scripts: true,
  });
  // Valkey says that it is like Redis 7.2.4, too.
  const said = await admin.info("server");
  const version = (name: string) => new RegExp(`^${name}_version:(\\S+)`, "m").exec(said)?.[1];
  const valkey = version("valkey");
  expect(facts).toMatchObject(
    valkey === undefined ? { product: "redis", version: version("redis") } : { product: "valkey", version: valkey },
  );
  expect(facts?.version).toMatch(/^\d+\.\d+\.\d+$/);
  expect(Math.abs(facts?.clockOffsetMs as number)).toBeLessThan(1_000);
  expect(facts?.roundTripMs).toBeGreaterThan(0);
  expect(facts?.warnings).toEqual([expect.stringMatching(/A restart loses locks/)]);
  await admin.config("SET", "appendonly", "yes", "maxmemory", "1gb", "maxmemory-policy", "allkeys-lru");
  const [later] = await driver.doctor(call);
  expect(later).toMatchObject({ persistence: "append-only file", warnings: [expect.stringMatching(/evict/)] });
  expect(await admin.dbsize()).toBe(0);
});

it("a server that may evict locks is warned of at ping", async () => {
  const { server, admin } = await serve();
  const warnings: string[] = [];
  const driver = redisDriver({ url: server.url, onWarning: (message) => warnings.push(message) });
  closing.push(() => driver.close());
  await driver.ping(call);
  expect(warnings).toEqual([]);
  await admin.config("SET", "maxmemory", "100mb", "maxmemory-policy", "volatile-lru");
  await driver.ping(call);
  expect(warnings).toEqual([expect.stringMatching(/may evict locks.*volatile-lru.*noeviction/)]);
});
