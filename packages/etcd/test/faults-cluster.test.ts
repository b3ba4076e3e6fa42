/** What a cluster of three does when members die, freeze or are cut off. */
import assert from "node:assert/strict";
import { createLockProvider, isDriverError, type LockDriver } from "@dlock/core";
import { startProxy, type TcpProxy } from "@dlock-tooling/faults";
import { type EtcdCluster, startEtcd } from "@dlock-tooling/services";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { etcdDriver } from "../src/index.ts";
import { acquire, call, claim, eventually, failure, grant, roles, unique } from "./helpers.ts";

let cluster: EtcdCluster;
beforeAll(async () => {
  cluster = await startEtcd({ members: 3 });
}, 60_000);
afterAll(() => cluster.stop());

const healthy = () =>
  eventually(
    "the cluster has a leader",
    async () =>
      roles(cluster).then(
        () => true,
        () => false,
      ),
    30_000,
  );

async function withDrivers(
  count: number,
  body: (...drivers: LockDriver[]) => Promise<void>,
  strategy: "txn" | "mutex" = "txn",
): Promise<void> {
  const drivers = Array.from({ length: count }, () => etcdDriver({ connection: { hosts: [...cluster.hosts] }, strategy }));
  try {
    await body(...drivers);
  } finally {
    for (const driver of drivers) await driver.close();
  }
}

describe("a leader that dies", () => {
  it.each(["txn", "mutex"] as const)(
    "costs none of 200 contended acquisitions, and never lets two in, with strategy %s",
    async (strategy) => {
      await withDrivers(
        2,
        async (...drivers) => {
          const providers = drivers.map((driver) => createLockProvider(driver, { ttlMs: 20_000, waitMs: 60_000, handOff: { max: 1 } }));
          const key = unique("key");
          let inside = 0;
          let entered = 0;
          let lastToken = 0n;
          const { leader } = await roles(cluster);
          const work = async (index: number) => {
            await (providers[index % 2] as (typeof providers)[0]).withLock(key, async (lock) => {
              inside += 1;
              assert.equal(inside, 1, "two are inside");
              assert.ok(lock.token > lastToken, `token ${lock.token} follows ${lastToken}`);
              lastToken = lock.token;
              entered += 1;
              if (entered === 60) await leader.kill();
              await new Promise((resolve) => setImmediate(resolve));
              inside -= 1;
            });
          };
          try {
            await Promise.all(Array.from({ length: 200 }, (_, index) => work(index)));
          } finally {
            await leader.restart();
          }
          expect(entered).toBe(200);
          for (const provider of providers) await provider.close();
          await healthy();
        },
        strategy,
      );
    },
    60_000,
  );

  it("is survived within one attempt", async () => {
    await withDrivers(1, async (driver) => {
      await grant(driver, claim(unique("key")));
      const { leader } = await roles(cluster);
      await leader.kill();
      await grant(driver, claim(unique("key")), 8_000);
      await leader.restart();
      await healthy();
    });
  }, 40_000);
});

describe("a leader that freezes", () => {
  it("is survived within one attempt, and undoes nothing when it wakes", async () => {
    await withDrivers(2, async (driver, other) => {
      const before = claim(unique("key"));
      const token = await grant(driver, before);
      const { leader } = await roles(cluster);
      leader.pause();
      const wish = claim(unique("key"));
      try {
        const during = await grant(driver, wish, 9_000);
        expect(await driver.release([{ ...wish, token: during }], { timeoutMs: 9_000 })).toEqual([true]);
      } finally {
        leader.resume();
      }
      await healthy();
      // The former leader has caught up, and with that has delivered what it held.
      await withMember(leader.url, async (late) => {
        await eventually("the former leader answers", async () =>
          late.ping(call).then(
            () => true,
            () => false,
          ),
        );
        expect(await late.inspect(wish.key, call)).toEqual([]);
      });
      expect((await other.inspect(before.key, call))[0]?.token).toBe(token);
    });
  }, 60_000);
});

async function withMember(url: string, body: (driver: LockDriver) => Promise<void>): Promise<void> {
  const driver = etcdDriver({ connection: { hosts: url } });
  try {
    await body(driver);
  } finally {
    await driver.close();
  }
}

describe("a member that is silent", () => {
  it("is left for another one within the attempt, and the call has one effect", async () => {
    const proxies: TcpProxy[] = [];
    for (const member of cluster.members) proxies.push(await startProxy(member));
    const driver = etcdDriver({ connection: { hosts: proxies.map(({ port }) => `http://127.0.0.1:${port}`) } });
    for (const [index, proxy] of proxies.entries()) {
      await grant(driver, claim(unique("key")));
      proxy.blackHole();
      const wish = claim(unique(`key-${index}`), { mode: "shared", limit: 1 });
      const token = await grant(driver, wish);
      const holders = await driver.inspect(wish.key, call);
      expect(holders.map((holder) => [holder.owner, holder.token])).toEqual([[wish.owner, token]]);
      proxy.heal();
    }
    await driver.close();
    for (const proxy of proxies) await proxy.close();
  }, 40_000);
});

describe("a cluster without a majority", () => {
  it("refuses with a clear error, and goes on when it is whole again", async () => {
    await withDrivers(1, async (driver) => {
      const wish = claim(unique("key"), { ttlMs: 60_000 });
      const token = await grant(driver, wish);
      const { leader, followers } = await roles(cluster);
      const gone = [leader, followers[0] as (typeof followers)[0]];
      for (const member of gone) await member.kill();
      await withMember((followers[1] as (typeof followers)[0]).url, async (alone) => {
        await eventually("the lonely member says that it has no leader", async () => {
          const error = await failure(alone, claim(unique("key")), 1_500);
          return error.message.includes("no leader") && error.retryable && error.applied === "no";
        });
        await expect(alone.ping({ timeoutMs: 1_000 })).rejects.toSatisfy(isDriverError);
      });
      await Promise.all(gone.map((member) => member.restart()));
      await healthy();
      await eventually("the lock is renewed", async () => (await driver.extend([{ ...wish, token, longestMs: 60_000 }], call))[0] === true);
      const other = claim(wish.key);
      const outcome = await acquire(driver, other);
      assert.ok(!isDriverError(outcome) && !outcome.acquired);
      expect(outcome.holder?.token).toBe(token);
    });
  }, 60_000);
});

describe("a holder that is cut off", () => {
  for (const how of ["in a black hole", "with resets"] as const) {
    it(`is told at its local deadline, ${how}, before anyone else gets the lock`, async () => {
      const proxy = await startProxy(cluster.members[0] as { host: string; port: number });
      const holder = createLockProvider(etcdDriver({ connection: { hosts: `http://127.0.0.1:${proxy.port}` } }), { ttlMs: 3_000 });
      await withDrivers(1, async (driver) => {
        const others = createLockProvider(driver, { waitMs: 30_000 });
        const key = unique("key");
        const lock = await holder.lock(key);
        let lostAt = 0;
        lock.signal.addEventListener("abort", () => {
          lostAt = performance.now();
        });
        const cutAt = performance.now();
        if (how === "with resets") proxy.refuse();
        else proxy.blackHole();
        const next = await others.lock(key);
        const takenAt = performance.now();
        expect(lock.isHeld).toBe(false);
        expect(lostAt).toBeGreaterThan(0);
        expect(lostAt).toBeLessThan(takenAt);
        expect(lostAt - cutAt).toBeLessThan(3_000 + 100);
        expect(next.token).toBeGreaterThan(lock.token);
        await next.unlock();
        await others.close();
      });
      proxy.heal();
      await holder.close();
      await proxy.close();
    }, 40_000);
  }
});
