/** Ways to hold a key in etcd: two transactions on a shared lease by hand, dlock, and etcd3's own Lock. */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { createLockProvider } from "@dlock/core";
import { etcdDriver } from "@dlock/etcd";
import etcd3 from "etcd3";
import type { Recipe } from "../locker.js";

const ttlMs = 30_000;
const pollMs = 5;

export const txnsByHand: Recipe = {
  name: "etcd3, two Txns by hand on a shared lease",
  settings: "put-if-absent and delete-if-mine; no waiting: for distinct keys only",
  async open(url) {
    const client = new etcd3.Etcd3({ hosts: url.split(",") });
    const lease = client.lease(600);
    const id = await lease.grant();
    return {
      async hold(key, section) {
        const value = randomBytes(16).toString("hex");
        const put = await client.if(key, "Create", "==", 0).then(client.put(key).value(value).lease(id)).commit();
        if (!put.succeeded) throw new Error(`${key} is held`);
        await section();
        const gone = await client.if(key, "Value", "==", value).then(client.delete().key(key)).commit();
        if (!gone.succeeded) throw new Error(`${key} was lost`);
      },
      async close() {
        await lease.revoke();
        client.close();
      },
    };
  },
};

export const dlockOnEtcd: Recipe = {
  name: "dlock",
  settings: 'defaults: strategy "txn"',
  async open(url) {
    const locks = createLockProvider(etcdDriver({ connection: { hosts: url.split(",") } }), { ttlMs, waitMs: 120_000 });
    return {
      async hold(key, section) {
        const lock = await locks.lock(key);
        await section();
        await lock.unlock();
      },
      close: () => locks.close(),
    };
  },
};

const ownLock: Recipe = {
  name: "etcd3 Lock",
  settings: `ttl 30 s; it does not wait, so it is asked again every ${pollMs} ms`,
  async open(url) {
    const client = new etcd3.Etcd3({ hosts: url.split(",") });
    return {
      async hold(key, section) {
        for (;;) {
          const lock = client.lock(key).ttl(30);
          try {
            await lock.acquire();
          } catch (error) {
            if (!(error instanceof etcd3.EtcdLockFailedError)) throw error;
            await sleep(pollMs);
            continue;
          }
          await section();
          await lock.release();
          return;
        }
      },
      close: async () => client.close(),
    };
  },
};

export const etcdPeers: readonly Recipe[] = [ownLock];
