// Servers that are killed or frozen while their locks are held: what takes over is found without the user's help.
import { createLockProvider, type LockDriver } from "@dlock/core";
import { type RedisCluster, type RedisSentinel, startRedisCluster, startRedisSentinel } from "@dlock-tooling/services";
import { Cluster, Redis } from "ioredis";
import { afterEach, describe, expect, it } from "vitest";
import { redisDriver } from "../src/index.ts";
import { groupOf, Names, slotOfGroup } from "../src/protocol.ts";
import { call, exclusive, expectError, grant, only, persist, ttlMs } from "./claims.ts";

const closing: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const short = { timeoutMs: 500 };
const longest = 30_000;

/** Waits until everything written so far is on the replica, so that the failover may not lose it. */
async function replicated(url: string): Promise<void> {
  const admin = new Redis(url);
  await admin.set("lock:{7}marker", "1");
  expect(await admin.wait(1, 5_000)).toBe(1);
  admin.disconnect();
}

describe("under Sentinel", () => {
  async function start(): Promise<{ servers: RedisSentinel; driver: LockDriver }> {
    const servers = await startRedisSentinel();
    closing.push(() => servers.stop());
    const nodes = servers.sentinels.slice(1).map(({ port }) => `&node=127.0.0.1:${port}`);
    const driver = redisDriver({ url: `${servers.sentinels[0]?.url}?sentinel=${servers.name}${nodes.join("")}` });
    closing.push(() => driver.close());
    return { servers, driver };
  }

  it.each(["kill", "pause"] as const)(
    "a lock that reached the replica outlives the %s of the master",
    async (how) => {
      const { servers, driver } = await start();
      const token = await grant(driver, "a");
      await replicated(servers.servers[0].url);
      await servers.servers[0][how]();
      const renew = () => only(driver.extend([{ key: "a", owner: "me", token, ttlMs, longestMs: ttlMs }], short));
      // A frozen master may still have accepted what was sent: what counts is that the new one says yes.
      expect(await persist(longest, renew)).toBe(true);
      expect(await servers.master()).toBe(servers.servers[1]);
      expect(await only(driver.acquire([exclusive("a", "other")], call))).toMatchObject({
        acquired: false,
        holder: { owner: "me", token },
      });
      expect(await only(driver.release([{ key: "a", owner: "me", token }], call))).toBe(true);
      expect(await grant(driver, "a", "other")).toBeGreaterThan(token);
    },
    60_000,
  );
});

it("a lock that the failover lost is told to its holder, and whoever gets it next has a greater token", async () => {
  const servers = await startRedisSentinel();
  closing.push(() => servers.stop());
  const url = `${servers.sentinels[0]?.url}?sentinel=${servers.name}&node=127.0.0.1:${servers.sentinels[1]?.port}`;
  const [first, second] = [createLockProvider(redisDriver({ url })), createLockProvider(redisDriver({ url }))];
  closing.push(
    () => first.close(),
    () => second.close(),
  );
  await (await second.lock("warm-up")).unlock();
  // What is granted from now on does not reach the replica: it is frozen, and the master has hung up.
  servers.servers[1].pause();
  const admin = new Redis(servers.servers[0].url);
  await admin.call("CLIENT", "KILL", "TYPE", "replica");
  admin.disconnect();
  const lost = await first.lock("a", { ttlMs: 60_000 });
  const told = new Promise<unknown>((resolve) => lost.signal.addEventListener("abort", () => resolve(lost.signal.reason)));
  const waiting = second.lock("a", { ttlMs: 60_000, waitMs: 30_000 });
  await servers.servers[0].kill();
  servers.servers[1].resume();
  const next = await waiting;
  expect(next.token > lost.token).toBe(true);
  await lost.refresh().catch(() => {});
  expect(await told).toMatchObject({ code: "DLOCK_LOST" });
  expect(next.isHeld).toBe(true);
  await next.unlock();
}, 60_000);

describe("on a Cluster", () => {
  async function start(): Promise<RedisCluster> {
    const servers = await startRedisCluster();
    closing.push(() => servers.stop());
    return servers;
  }

  function open(servers: RedisCluster): LockDriver {
    const [first, ...others] = servers.nodes;
    const driver = redisDriver({ url: `${first?.url}?cluster=true${others.map(({ port }) => `&node=127.0.0.1:${port}`).join("")}` });
    closing.push(() => driver.close());
    return driver;
  }

  /** Connections to the master that has the slot and to another one, which it is to move to. */
  async function ends({ nodes, masterOf }: RedisCluster, slot: number) {
    const source = await masterOf(slot);
    const target = nodes.slice(0, 3).find((node) => node !== source);
    const [from, to] = [source, target].map((node) => new Redis(node?.url as string)) as [Redis, Redis];
    closing.push(
      () => from.disconnect(),
      () => to.disconnect(),
    );
    return { from, to, target };
  }

  /** A key for every group, and its slot. */
  const keys = new Map<number, string>();
  for (let index = 0; keys.size < 32; index++) {
    const key = `job ${index}`;
    if (!keys.has(slotOfGroup(groupOf(key)))) keys.set(slotOfGroup(groupOf(key)), key);
  }

  /** Twenty keys of one slot. */
  function neighbours(): { slot: number; same: string[] } {
    const slot = slotOfGroup(groupOf("job 0"));
    const all = Array.from({ length: 2_000 }, (_, index) => `job ${index}`).filter((key) => slotOfGroup(groupOf(key)) === slot);
    return { slot, same: all.slice(0, 20) };
  }

  it.each(["kill", "pause"] as const)(
    "locks of a shard outlive the %s of its master, and locks of other shards are not delayed",
    async (how) => {
      const servers = await start();
      const driver = open(servers);
      const tokens = new Map<string, bigint>();
      for (const key of keys.values()) tokens.set(key, await grant(driver, key));
      const victim = servers.nodes[0];
      for (const { url } of servers.nodes.slice(0, 3)) {
        const admin = new Redis(url);
        await admin.wait(1, 5_000);
        admin.disconnect();
      }
      await victim?.[how]();
      const renew = (key: string) =>
        only(driver.extend([{ key, owner: "me", token: tokens.get(key) as bigint, ttlMs, longestMs: ttlMs }], short));
      const isVictims = (slot: number) => slot < 5_461;
      // Those of the other shards answer at once, each time: the lanes keep core from mixing them with the dead one's.
      const others = [...keys].filter(([slot]) => !isVictims(slot)).map(([, key]) => key);
      expect(new Set(others.map((key) => driver.laneOf?.(key))).size).toBe(others.length);
      const delayed = persist(longest, () => renew([...keys].find(([slot]) => isVictims(slot))?.[1] as string));
      for (const key of others) expect(await renew(key)).toBe(true);
      expect(await delayed).toBe(true);
      for (const key of keys.values()) expect(await persist(longest, () => renew(key))).toBe(true);
      for (const [key, token] of tokens) {
        expect(await only(driver.release([{ key, owner: "me", token }], call))).toBe(true);
        expect(await grant(driver, key, "next")).toBeGreaterThan(token);
      }
    },
    60_000,
  );

  it("providers go on with the locks of other shards while one master is frozen", async () => {
    const servers = await start();
    const nodes = servers.nodes.slice(1).map(({ port }) => `&node=127.0.0.1:${port}`);
    const provider = createLockProvider(redisDriver({ url: `${servers.nodes[0]?.url}?cluster=true${nodes.join("")}` }), { ttlMs: 60_000 });
    closing.push(() => provider.close());
    for (const key of keys.values()) await (await provider.lock(key)).unlock();
    servers.nodes[0]?.pause();
    const stuck = [...keys].filter(([slot]) => slot < 5_461).map(([, key]) => provider.lock(key, { waitMs: 30_000 }));
    const others = [...keys].filter(([slot]) => slot >= 5_461).map(([, key]) => key);
    const began = performance.now();
    await Promise.all(others.map(async (key) => (await provider.lock(key)).unlock()));
    // The frozen ones have not been answered yet: their failover alone takes a second.
    expect(performance.now() - began).toBeLessThan(1_000);
    for (const lock of await Promise.all(stuck)) expect(await lock.unlock()).toBe(true);
  }, 60_000);

  it("locks are renewed and released while their slot moves, and none is lost", async () => {
    const servers = await start();
    const driver = open(servers);
    const user = new Cluster([{ host: "127.0.0.1", port: servers.nodes[0]?.port as number }]);
    closing.push(() => user.disconnect());
    const second = redisDriver({ client: user });
    const { slot, same } = neighbours();
    const tokens = new Map<string, bigint>();
    for (const key of same) tokens.set(key, await grant(driver, key));
    const { from, to, target } = await ends(servers, slot);
    const [fromId, toId] = (await Promise.all([from.cluster("MYID"), to.cluster("MYID")])) as [string, string];
    await to.cluster("SETSLOT", slot, "IMPORTING", fromId);
    await from.cluster("SETSLOT", slot, "MIGRATING", toId);
    const names = (await from.cluster("GETKEYSINSLOT", slot, 100)) as string[];
    const claims = same.map((key) => ({ key, owner: "me", token: tokens.get(key) as bigint, ttlMs, longestMs: ttlMs }));
    // Half of the records are there, half still here, in no order.
    for (const name of names.filter((_, index) => index % 2 === 0)) await from.migrate("127.0.0.1", target?.port as number, name, 0, 5_000);
    // Older servers send a client to and fro until it gives up, which does nothing either: so does this client at once.
    const nodes = [{ host: "127.0.0.1", port: servers.nodes[0]?.port as number }];
    const rigid = redisDriver({ cluster: { nodes, options: { maxRedirections: 0 } } });
    closing.push(() => rigid.close());
    const moved = claims.filter(({ key }) => names.indexOf(new Names("lock:").record(key)) % 2 === 0);
    expectError(await only(rigid.extend(moved.slice(0, 1), call)), {
      applied: "no",
      retryable: true,
      says: /redirections.*the Cluster is changing/,
    });
    for (const each of [driver, second]) {
      expect(await each.extend(claims, call)).toEqual(claims.map(() => true));
      const some = claims.splice(0, 5);
      expect(await each.release(some, call)).toEqual(some.map(() => true));
    }
    for (const name of names) await from.migrate("127.0.0.1", target?.port as number, name, 0, 5_000);
    for (const node of [to, from]) await node.cluster("SETSLOT", slot, "NODE", toId);
    for (const each of [driver, second]) expect(await each.extend(claims, call)).toEqual(claims.map(() => true));
    expect(await driver.release(claims, call)).toEqual(claims.map(() => true));
  }, 60_000);

  it("locks are renewed, waited for and released while the servers move their slot in one piece", async ({ skip }) => {
    const servers = await start();
    const driver = open(servers);
    const user = new Cluster([{ host: "127.0.0.1", port: servers.nodes[0]?.port as number }]);
    closing.push(() => user.disconnect());
    const second = redisDriver({ client: user });
    closing.push(() => second.close());
    const { slot, same } = neighbours();
    const { from, to, target } = await ends(servers, slot);
    const claims = [];
    for (const key of same) claims.push({ key, owner: "me", token: await grant(driver, key), ttlMs, longestMs: ttlMs });
    // Enough to carry that the locks are used meanwhile.
    const ballast = Array.from({ length: 50_000 }, (_, index) => [`ballast{${groupOf(same[0] as string)}}${index}`, "x".repeat(100)]);
    await from.mset(...ballast.flat());
    let woken = 0;
    await driver.watch?.({ key: same[0] as string, owner: "other" }, () => {
      woken++;
    });
    if (!(await move(slot, from, to))) skip("this server moves slots key by key only (Valkey 9.0 and Redis 8.4 are the first that do not)");
    let rounds = 0;
    for (; (await servers.masterOf(slot)) !== target; rounds++) {
      for (const each of [driver, second]) expect(await each.extend(claims, call)).toEqual(claims.map(() => true));
    }
    expect(rounds).toBeGreaterThan(0);
    for (const each of [driver, second]) expect(await each.extend(claims, call)).toEqual(claims.map(() => true));
    const before = woken;
    expect(await second.release(claims, call)).toEqual(claims.map(() => true));
    await expect.poll(() => woken, { timeout: 10_000 }).toBeGreaterThan(before);
    for (const { key, token } of claims) expect(await grant(driver, key, "other")).toBeGreaterThan(token);
  }, 60_000);
});

/** Has the servers move a slot by themselves; false where they cannot. */
async function move(slot: number, from: Redis, to: Redis): Promise<boolean> {
  const ways = [
    async () => from.call("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", (await to.cluster("MYID")) as string),
    () => to.call("CLUSTER", "MIGRATION", "IMPORT", slot, slot),
  ];
  for (const way of ways) {
    const unknown = await way().then(
      () => false,
      (error: Error) => {
        if (!/unknown subcommand/i.test(error.message)) throw error;
        return true;
      },
    );
    if (!unknown) return true;
  }
  return false;
}
