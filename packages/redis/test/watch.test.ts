// Being woken: one connection for all keys, nothing subscribed when nobody waits, and no wake-up lost for good.

import type { LockDriver } from "@dlock/core";
import { startProxy } from "@dlock-tooling/faults";
import { type Service, startRedis, startRedisCluster } from "@dlock-tooling/services";
import { Redis } from "ioredis";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { redisDriver } from "../src/index.ts";
import { groupOf, slotOfGroup } from "../src/protocol.ts";
import { call, exclusive, grant, only } from "./claims.ts";

const closing: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

function closed(driver: LockDriver): LockDriver {
  closing.push(() => driver.close());
  return driver;
}

/** Is refused by the holder of the key, who will tell. */
async function ask(driver: LockDriver, key: string): Promise<void> {
  expect(await only(driver.acquire([exclusive(key, "waiter")], call))).toMatchObject({ acquired: false });
}

/** Watches and counts; `next` resolves with the next wake-up. */
async function listen(driver: LockDriver, key: string) {
  let woken = 0;
  let notify = () => {};
  const stop = await driver.watch?.({ key, owner: "waiter" }, () => {
    woken += 1;
    notify();
  });
  return {
    stop: stop as () => void,
    get woken() {
      return woken;
    },
    next: () =>
      new Promise<void>((resolve) => {
        notify = resolve;
      }),
  };
}

describe("on a single server", () => {
  let server: Service;
  let admin: Redis;

  beforeEach(async () => {
    server = await startRedis();
    admin = new Redis(server.url);
    closing.push(
      () => server.stop(),
      () => admin.disconnect(),
    );
  });

  const clients = async () => Number(/connected_clients:(\d+)/.exec(await admin.info("clients"))?.[1]);
  const channels = async () => (await admin.pubsub("CHANNELS")) as string[];

  it("one more connection serves any number of keys, and nothing is subscribed when nobody waits", async () => {
    const driver = closed(redisDriver({ url: server.url }));
    await grant(driver, "a");
    expect(await channels()).toEqual([]);
    const before = await clients();
    const watches = await Promise.all(Array.from({ length: 50 }, (_, index) => listen(driver, `key ${index}`)));
    const twice = await listen(driver, "key 0");
    expect(await clients()).toBe(before + 1);
    expect(await channels()).toHaveLength(50);
    twice.stop();
    for (const watch of watches.slice(1)) watch.stop();
    await expect.poll(channels).toHaveLength(1);
    watches[0]?.stop();
    await expect.poll(channels).toEqual([]);
  });

  it("the user's client stays free for commands, with RESP2 and RESP3", async () => {
    for (const protocol of [2, 3] as const) {
      const client = new Redis(server.url, { protocol });
      closing.push(() => client.disconnect());
      const driver = closed(redisDriver({ client }));
      const token = await grant(driver, "a", `holder ${protocol}`);
      const watch = await listen(driver, "a");
      await ask(driver, "a");
      expect(await client.set("user", "1")).toBe("OK");
      const woken = watch.next();
      await driver.release([{ key: "a", owner: `holder ${protocol}`, token }], call);
      await woken;
    }
  });

  it("a subscriber that was cut off wakes everyone when it is back, and hears again", async () => {
    const proxy = await startProxy(server);
    closing.push(() => proxy.close());
    const driver = closed(redisDriver({ url: proxy.through(server.url) }));
    const other = closed(redisDriver({ url: server.url }));
    const token = await grant(other, "a", "holder");
    const watch = await listen(driver, "a");
    await ask(driver, "a");
    const back = watch.next();
    proxy.refuse();
    // Told while nobody listens: this wake-up is gone for ever.
    await other.release([{ key: "a", owner: "holder", token }], call);
    proxy.heal();
    await back;
    const again = await grant(other, "a", "holder");
    await ask(other, "a");
    const woken = watch.next();
    await other.release([{ key: "a", owner: "holder", token: again }], call);
    await woken;
    expect(watch.woken).toBeGreaterThanOrEqual(2);
  });

  it("a watch that cannot stand is rejected, and leaves nothing behind", async () => {
    const proxy = await startProxy(server);
    closing.push(() => proxy.close());
    proxy.refuse();
    const driver = closed(redisDriver({ url: proxy.through(server.url) }));
    await expect(driver.watch?.({ key: "a", owner: "waiter" }, () => {})).rejects.toThrow(/no connection to Redis/);
    proxy.heal();
    const watch = await listen(driver, "a");
    expect(await channels()).toHaveLength(1);
    watch.stop();
    await expect.poll(channels).toEqual([]);
  });

  it("closing ends every watch and connection", async () => {
    const driver = redisDriver({ url: server.url });
    await grant(driver, "a");
    const watch = await listen(driver, "a");
    await driver.close();
    await driver.close();
    watch.stop();
    await expect.poll(clients).toBe(1);
  });
});

it("on a Cluster, a watch follows its slot to the master that takes over", async () => {
  const servers = await startRedisCluster();
  closing.push(() => servers.stop());
  const [first, , third] = servers.nodes;
  const url = `${third?.url}?cluster=true&node=127.0.0.1:${first?.port}`;
  const [driver, other] = [closed(redisDriver({ url })), closed(redisDriver({ url }))];
  // A key of the master that will be killed.
  const key = Array.from({ length: 500 }, (_, index) => `job ${index}`).find((name) => slotOfGroup(groupOf(name)) < 5_461) as string;
  const token = await grant(other, key, "holder");
  const watch = await listen(driver, key);
  await ask(driver, key);
  const woken = watch.next();
  await other.release([{ key, owner: "holder", token }], call);
  await woken;
  const back = watch.next();
  await first?.kill();
  // Woken once it stands on the new master: what was told meanwhile was not heard.
  await back;
  const lastToken = await (async () => {
    for (;;) {
      const got = await grant(other, key, "holder").catch(() => undefined);
      if (got !== undefined) return got;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  })();
  await expect
    .poll(
      async () => {
        const before = watch.woken;
        await other.release([{ key, owner: "holder", token: lastToken }], call);
        await grant(other, key, "holder").catch(() => {});
        await other.release([{ key, owner: "holder" }], call);
        await new Promise((resolve) => setTimeout(resolve, 50));
        return watch.woken > before;
      },
      { timeout: 10_000 },
    )
    .toBe(true);
}, 60_000);
