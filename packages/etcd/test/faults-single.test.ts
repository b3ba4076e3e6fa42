/** What a broken network and a restarted server do to one etcd's clients. */
import assert from "node:assert/strict";
import { isDriverError, type LockDriver } from "@dlock/core";
import { startProxy, type TcpProxy } from "@dlock-tooling/faults";
import { type EtcdCluster, startEtcd } from "@dlock-tooling/services";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { etcdDriver } from "../src/index.ts";
import { acquire, call, claim, eventually, failure, grant, unique, withClient } from "./helpers.ts";

let cluster: EtcdCluster;
let proxy: TcpProxy;
/** Through the proxy, and around it. */
let driver: LockDriver;
let other: LockDriver;

beforeAll(async () => {
  cluster = await startEtcd();
}, 60_000);
afterAll(() => cluster.stop());
beforeEach(async () => {
  proxy = await startProxy(cluster.members[0] as { host: string; port: number });
  driver = etcdDriver({ connection: { hosts: `http://${proxy.host}:${proxy.port}` } });
  other = etcdDriver({ connection: { hosts: cluster.url } });
});
afterEach(async () => {
  await driver.close();
  await other.close();
  await proxy.close();
});

/** A window update and a ping, which gRPC's server sends before it has looked at the request, take 30 bytes; an answer has headers as well. */
const isReply = (bytes: Buffer) => bytes.length > 40;

describe("a broken network", () => {
  it("ends every call at its deadline in a black hole, and says that the outcome is unknown", async () => {
    const held = claim(unique("key"));
    const token = await grant(driver, held);
    proxy.blackHole();
    const startedAt = performance.now();
    const timeoutMs = 700;
    const outcomes = await Promise.all([
      driver.acquire([claim(unique("key"))], { timeoutMs }),
      driver.extend([{ ...held, token, longestMs: 30_000 }], { timeoutMs }),
      driver.release([{ ...held, token }], { timeoutMs }),
      driver.inspect(held.key, { timeoutMs }).catch((error: unknown) => [error]),
      driver.ping({ timeoutMs }).catch((error: unknown) => [error]),
    ]);
    const tookMs = performance.now() - startedAt;
    expect(tookMs).toBeGreaterThanOrEqual(timeoutMs - 20);
    expect(tookMs).toBeLessThan(timeoutMs + 300);
    for (const [outcome] of outcomes.slice(0, 3) as [unknown][]) {
      assert.ok(isDriverError(outcome));
      expect(outcome).toMatchObject({ applied: "unknown", retryable: true });
      expect(outcome.message).toContain("did not answer in time");
    }
    for (const [outcome] of outcomes.slice(3) as [unknown][]) assert.ok(isDriverError(outcome));
    proxy.heal();
  });

  it("ends at its deadline when not even a connection can be made", async () => {
    proxy.blackHole();
    const startedAt = performance.now();
    expect((await failure(driver, claim(unique("key")), 400)).retryable).toBe(true);
    expect(performance.now() - startedAt).toBeLessThan(700);
    proxy.heal();
  });

  it("answers again at once when the network heals: no circuit breaker stays open", async () => {
    await grant(driver, claim(unique("key")));
    proxy.refuse();
    for (let tries = 0; tries < 6; tries += 1) expect((await failure(driver, claim(unique("key")))).retryable).toBe(true);
    proxy.heal();
    const healedAt = performance.now();
    await eventually("a grant", async () => !isDriverError(await acquire(driver, claim(unique("key")))));
    expect(performance.now() - healedAt).toBeLessThan(2_500);
  });

  it("says that nothing was applied when the server cannot be reached", async () => {
    proxy.refuse();
    const error = await failure(driver, claim(unique("key")));
    expect(error).toMatchObject({ applied: "no", retryable: true });
    expect(error.message).toContain(`127.0.0.1:${proxy.port}`);
  });

  it("gets the same grant again when the reply is lost", async () => {
    await grant(driver, claim(unique("key")));
    const wish = claim(unique("key"));
    const cut = proxy.cutAfter((bytes) => bytes.includes(wish.key), isReply);
    const token = await grant(driver, wish);
    await cut;
    const holders = await other.inspect(wish.key, call);
    expect(holders.map((holder) => [holder.owner, holder.token])).toEqual([[wish.owner, token]]);
  });

  it("gets the grant when the request is lost", async () => {
    await grant(driver, claim(unique("key")));
    const wish = claim(unique("key"));
    const cut = proxy.cutBefore((bytes) => bytes.includes(wish.key));
    await grant(driver, wish);
    await cut;
  });

  it("does not say that a release whose reply is lost ended nothing", async () => {
    const wish = claim(unique("key"));
    const token = await grant(driver, wish);
    const cut = proxy.cutAfter((bytes) => bytes.includes(wish.key), isReply);
    const [outcome] = await driver.release([{ ...wish, token }], call);
    await cut;
    assert.ok(isDriverError(outcome));
    expect(outcome.applied).toBe("unknown");
    expect(await other.inspect(wish.key, call)).toEqual([]);
  });

  it("renews when the reply of a renewal is lost, and keeps the token", async () => {
    const wish = claim(unique("key"), { ttlMs: 4_000 });
    const token = await grant(driver, wish);
    const cut = proxy.cutAfter((bytes) => bytes.includes(wish.key), isReply);
    expect(await driver.extend([{ ...wish, token, ttlMs: 60_000, longestMs: 60_000 }], call)).toEqual([true]);
    await cut;
    const [holder] = await other.inspect(wish.key, call);
    expect(holder?.token).toBe(token);
    expect(holder?.remainingMs).toBeGreaterThan(50_000);
  });

  it("shuts out a claim that was given up, however late it is delivered", async () => {
    await grant(driver, claim(unique("key")));
    const wish = claim(unique("key"));
    // The server reads what was sent into the hole only after a second connection has moved the fence.
    const hole = proxy;
    const clear = await startProxy(cluster.members[0] as { host: string; port: number });
    const two = etcdDriver({ connection: { hosts: [`http://127.0.0.1:${hole.port}`, `http://127.0.0.1:${clear.port}`] } });
    for (let round = 0; round < 4; round += 1) {
      hole.blackHole("requests");
      const late = { ...wish, key: `${wish.key}-${round}` };
      const token = await grant(two, late);
      expect(await two.release([{ ...late, token }], call)).toEqual([true]);
      hole.heal();
      // Once a request behind the late one on the same connection is answered, the late one has been judged.
      await two.ping(call);
      await grant(driver, claim(unique("key")));
      expect(await other.inspect(late.key, call)).toEqual([]);
      // Back to the member that was left.
      clear.refuse();
      await eventually("the other address is used", async () => !isDriverError(await acquire(two, claim(unique("key")))));
      clear.heal();
    }
    await two.close();
    await clear.close();
  });
});

describe("a process that was busy for longer than a call may take", () => {
  it("takes the answers that have come meanwhile", async () => {
    // A lease and a connection are there: one message is all it takes.
    await grant(other, claim(unique("key")));
    const answer = acquire(other, claim(unique("key")), 100);
    // Long enough for the request to be written.
    await new Promise((resolve) => setImmediate(resolve));
    const until = performance.now() + 500;
    while (performance.now() < until);
    expect(await answer).toMatchObject({ acquired: true });
  });
});

describe("a watch", () => {
  it("wakes its waiter when the connection breaks, and goes on", async () => {
    const wish = claim(unique("key"));
    const token = await grant(other, wish);
    let woken = 0;
    const stop = await driver.watch?.({ key: wish.key, owner: unique("owner") }, () => {
      woken += 1;
    });
    proxy.cut();
    await eventually("the waiter is woken by the cut", () => woken > 0);
    await eventually("the watch stands again", async () => (await watchersOf()) > 0);
    const before = woken;
    await other.release([{ ...wish, token }], call);
    await eventually("the waiter is woken by the release", () => woken > before);
    stop?.();
  });

  it("wakes its waiter when nothing comes through any more", async () => {
    const wish = claim(unique("key"));
    await grant(other, wish);
    let woken = 0;
    const stop = await driver.watch?.({ key: wish.key, owner: unique("owner") }, () => {
      woken += 1;
    });
    proxy.blackHole("replies");
    await eventually("the waiter is woken", () => woken > 0, 18_000);
    proxy.heal();
    stop?.();
  });

  it("loses no release between the refusal and its own beginning", async () => {
    for (let round = 0; round < 20; round += 1) {
      const wish = claim(unique("key"));
      const token = await grant(other, wish);
      let woken = 0;
      const watching = driver.watch?.({ key: wish.key, owner: unique("owner") }, () => {
        woken += 1;
      });
      const [stop] = await Promise.all([watching, other.release([{ ...wish, token }], call)]);
      await eventually("the waiter is woken", () => woken > 0);
      stop?.();
    }
  });

  it("survives a compaction while it is cut off", async () => {
    const wish = claim(unique("key"));
    const token = await grant(other, wish);
    let woken = 0;
    const stop = await driver.watch?.({ key: wish.key, owner: unique("owner") }, () => {
      woken += 1;
    });
    proxy.refuse();
    await other.release([{ ...wish, token }], call);
    await withClient(cluster.url, async (client) => {
      const { header } = await client.kv.range({ key: Buffer.from("any") });
      await client.kv.compact({ revision: header.revision, physical: true });
    });
    const again = await grant(other, wish);
    proxy.heal();
    await eventually("the watch stands again", async () => (await watchersOf()) > 0);
    const before = woken;
    await other.release([{ ...wish, token: again }], call);
    await eventually("the waiter is woken", () => woken > before);
    stop?.();
  });

  it("rejects with the reason when it cannot stand, and leaves nothing behind", async () => {
    proxy.refuse();
    await expect(driver.watch?.({ key: unique("key"), owner: "o" }, () => {})).rejects.toSatisfy(isDriverError);
    proxy.heal();
  });

  it("ends with the driver", async () => {
    const wish = claim(unique("key"));
    const token = await grant(other, wish);
    let woken = 0;
    await driver.watch?.({ key: wish.key, owner: unique("owner") }, () => {
      woken += 1;
    });
    await driver.close();
    await eventually("the server forgets the watch", async () => (await watchersOf()) === 0);
    const before = woken;
    await other.release([{ ...wish, token }], call);
    expect(woken).toBe(before);
    await expect(driver.watch?.({ key: wish.key, owner: "o" }, () => {})).rejects.toSatisfy(isDriverError);
  });
});

describe("a restart of the server", () => {
  it("keeps the locks and lets tokens grow", async () => {
    const wish = claim(unique("key"), { ttlMs: 20_000 });
    const token = await grant(other, wish);
    await cluster.members[0]?.restart();
    await eventually("the holder is seen", async () => {
      const holders = await other.inspect(wish.key, call).catch(() => []);
      return holders[0]?.token === token;
    });
    await eventually("the lock is renewed", async () => (await other.extend([{ ...wish, token, longestMs: 20_000 }], call))[0] === true);
    expect(await other.release([{ ...wish, token }], call)).toEqual([true]);
    expect(await grant(other, wish)).toBeGreaterThan(token);
  });
});

/** How many watches the server has, by its own metrics. */
async function watchersOf(): Promise<number> {
  const text = await (await fetch(`${cluster.url}/metrics`)).text();
  return Number(/^etcd_debugging_mvcc_watcher_total (\d+)/m.exec(text)?.[1] ?? 0);
}
