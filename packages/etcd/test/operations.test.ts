/** What people who run etcd meet: sign-ins, permissions, a full disk, revoked leases, mixed strategies, options, and an end. */
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { createLockProvider, isDriverError, type LockDriver } from "@dlock/core";
import { runNode } from "@dlock-tooling/faults";
import { type EtcdCluster, startEtcd } from "@dlock-tooling/services";
import etcd3 from "etcd3";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { backend, etcdDriver } from "../src/index.ts";
import { acquire, call, claim, eventually, failure, grant, unique, withClient } from "./helpers.ts";

let cluster: EtcdCluster;
let driver: LockDriver;
beforeAll(async () => {
  cluster = await startEtcd();
  driver = etcdDriver({ connection: { hosts: cluster.url } });
}, 60_000);
afterAll(async () => {
  await driver.close();
  await cluster.stop();
});

const address = (url = cluster.url) => url.replace("http:", "etcd:");

describe("a server with users", () => {
  const secret = "s3cret-pass";
  let guarded: EtcdCluster;
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "dlock-etcd-jwt-"));
    const { publicKey, privateKey } = generateKeyPairSync("rsa", {
      modulusLength: 2048,
      publicKeyEncoding: { type: "spki", format: "pem" },
      privateKeyEncoding: { type: "pkcs8", format: "pem" },
    });
    await writeFile(join(folder, "public.pem"), publicKey);
    await writeFile(join(folder, "private.pem"), privateKey);
    const keys = `pub-key=${join(folder, "public.pem")},priv-key=${join(folder, "private.pem")}`;
    guarded = await startEtcd({ args: ["--auth-token", `jwt,${keys},sign-method=RS256,ttl=1s`, "--bcrypt-cost", "4"] });
    await withClient(guarded.url, async (client) => {
      await client.role("stranger").create();
      for (const [name, role] of [
        ["root", "root"],
        ["stranger", "stranger"],
      ] as const) {
        const user = client.user(name);
        await user.create(secret);
        if (role === "root") await client.auth.roleAdd({ name: "root" }).catch(() => {});
        await user.addRole(role);
      }
      await client.auth.authEnable();
    });
  }, 60_000);
  afterAll(async () => {
    await guarded.stop();
    await rm(folder, { recursive: true });
  });

  it("is signed in to again when the sign-in has expired, also by a watch", async () => {
    const url = `${address(guarded.url).replace("etcd://", `etcd://root:${secret}@`)}`;
    const locks = etcdDriver({ url });
    const wish = claim(unique("key"));
    const token = await grant(locks, wish);
    await sleep(2_500);
    let woken = 0;
    const stop = await locks.watch?.({ key: wish.key, owner: "somebody" }, () => {
      woken += 1;
    });
    expect(await locks.release([{ ...wish, token }], call)).toEqual([true]);
    await eventually("the watch works", () => woken > 0);
    stop?.();
    await locks.close();
  });

  it("refuses a wrong password with a clear error that does not show it", async () => {
    const locks = etcdDriver({ connection: { hosts: guarded.url, auth: { username: "root", password: "wr0ng-pass" } } });
    const error = await failure(locks, claim(unique("key")));
    expect(error).toMatchObject({ applied: "no", retryable: false });
    expect(error.message).toContain("check the user name and the password");
    expect(JSON.stringify(error, Object.getOwnPropertyNames(error)) + error.stack).not.toContain("wr0ng-pass");
    await locks.close();
  });

  it("refuses a client without a user with a clear error", async () => {
    const locks = etcdDriver({ connection: { hosts: guarded.url } });
    expect((await failure(locks, claim(unique("key")))).message).toContain("give both");
    await locks.close();
  });

  it("refuses a user without permission with a clear error", async () => {
    const locks = etcdDriver({ connection: { hosts: guarded.url, auth: { username: "stranger", password: secret } } });
    const outcomes = await locks.acquire([claim(unique("key")), claim(unique("key"))], call);
    for (const outcome of outcomes) {
      assert.ok(isDriverError(outcome));
      expect(outcome).toMatchObject({ applied: "no", retryable: false });
      expect(outcome.message).toContain("grant the user's role read and write access");
    }
    await expect(locks.ping(call)).rejects.toThrow("permission denied");
    await locks.close();
  });
});

describe("a server that takes smaller transactions", () => {
  it("gets a batch in parts, each claim with its own verdict", async () => {
    const small = await startEtcd({ args: ["--max-txn-ops", "40"] });
    const locks = etcdDriver({ connection: { hosts: small.url } });
    const keys = Array.from({ length: locks.capabilities.maxBatch }, () => unique("key"));
    await grant(locks, claim(keys[50] as string));
    const outcomes = await locks.acquire(
      keys.map((key) => claim(key)),
      call,
    );
    expect(outcomes.map((outcome) => !isDriverError(outcome) && outcome.acquired)).toEqual(keys.map((_, index) => index !== 50));
    await locks.close();
    await small.stop();
  }, 40_000);
});

/** Raises an alarm of the server for the time of `work`. */
function withAlarm(url: string, name: "Nospace" | "Corrupt", work: () => Promise<void>): Promise<void> {
  return withClient(url, async (client) => {
    const { header } = await client.maintenance.status();
    const alarm = { memberID: header.member_id, alarm: name as never };
    await client.maintenance.alarm({ ...alarm, action: "Activate" as never });
    try {
      await work();
    } finally {
      await client.maintenance.alarm({ ...alarm, action: "Deactivate" as never });
    }
  });
}

describe("a server out of space", () => {
  it("gives a clear error, lets locks be released, and works again when the alarm is off", async () => {
    const held = claim(unique("key"));
    const token = await grant(driver, held);
    await withAlarm(cluster.url, "Nospace", async () => {
      // Claims on a lease that stands already are small enough for etcd; a new lease is not.
      const error = await failure(driver, claim(unique("key"), { ttlMs: 77_000 }));
      expect(error).toMatchObject({ applied: "no", retryable: false });
      expect(error.message).toContain("alarm disarm");
      await expect(driver.ping(call)).rejects.toThrow("NOSPACE");
      expect(await driver.release([{ ...held, token }], call)).toEqual([true]);
      const provider = createLockProvider(driver, { ttlMs: 78_000 });
      await expect(provider.tryLock(unique("key"))).rejects.toMatchObject({ code: "DLOCK_BACKEND", retryable: false });
    });
    await driver.ping(call);
    await grant(driver, claim(unique("key")));
  });
});

describe("a cluster whose members disagree", () => {
  it("gives a clear error, and works again when the alarm is off", async () => {
    const corrupt = await startEtcd();
    const locks = etcdDriver({ connection: { hosts: corrupt.url } });
    const held = claim(unique("key"));
    const token = await grant(locks, held);
    await withAlarm(corrupt.url, "Corrupt", async () => {
      const claims = [{ ...held, token, longestMs: held.ttlMs }];
      const refused = [
        await failure(locks, claim(unique("key"), { ttlMs: 77_000 })),
        ...(await locks.extend(claims, call)),
        ...(await locks.release(claims, call)),
      ];
      for (const error of refused) {
        assert.ok(isDriverError(error));
        expect(error).toMatchObject({ applied: "no", retryable: false });
        expect(error.message).toContain("replace the corrupt member");
      }
      await expect(locks.ping(call)).rejects.toThrow("CORRUPT");
    });
    expect(await locks.release([{ ...held, token }], call)).toEqual([true]);
    await locks.close();
    await corrupt.stop();
  }, 40_000);
});

describe("a server with a longer election timeout", () => {
  it("keeps no short TTLs, and the grant says so", async () => {
    const slow = await startEtcd({ args: ["--heartbeat-interval", "500", "--election-timeout", "5000"] });
    const locks = etcdDriver({ connection: { hosts: slow.url } });
    const outcome = await acquire(locks, claim(unique("key"), { ttlMs: 1_000 }));
    assert.ok(!isDriverError(outcome) && outcome.acquired);
    // One and a half election timeouts, in whole seconds, less the window of the lease.
    expect(outcome.ttlMs).toBe(7_000);
    await locks.close();
    await slow.stop();
  }, 40_000);
});

describe("leases that somebody revokes", () => {
  it("do not stop new claims, and end the locks on them", async () => {
    const wish = claim(unique("key"));
    const token = await grant(driver, wish);
    await withClient(cluster.url, async (client) => {
      const { leases } = await client.leaseClient.leaseLeases();
      for (const { ID } of leases) await client.leaseClient.leaseRevoke({ ID });
    });
    const outcomes = await driver.acquire([claim(unique("key")), claim(unique("key"), { ttlMs: 5_000 })], call);
    expect(outcomes.map((outcome) => !isDriverError(outcome) && outcome.acquired)).toEqual([true, true]);
    expect(await driver.extend([{ ...wish, token, longestMs: 30_000 }], call)).toEqual([false]);
  });
});

describe("a thousand locks", () => {
  it("are taken and renewed with a fiftieth of the messages of one lease each", async () => {
    const messages = async () => {
      const text = await (await fetch(`${cluster.url}/metrics`)).text();
      const counts = [...text.matchAll(/^grpc_server_started_total\{.*grpc_service="etcdserverpb\.(?:KV|Lease)".*\} (\d+)$/gm)];
      return counts.reduce((sum, [, count]) => sum + Number(count), 0);
    };
    const locks = createLockProvider(etcdDriver({ url: address() }), { ttlMs: 120_000, autoRenew: false });
    const before = await messages();
    const held = await Promise.all(Array.from({ length: 1_000 }, () => locks.lock(unique("key"))));
    const taken = await messages();
    await Promise.all(held.map((lock) => lock.refresh(240_000)));
    const renewed = await messages();
    expect(taken - before).toBeLessThanOrEqual(30);
    expect(renewed - taken).toBeLessThanOrEqual(20);
    for (const lock of held) expect(lock.remainingMs).toBeGreaterThan(200_000);
    await locks.close();
    expect(await driver.inspect(held[0]?.key as string, call)).toEqual([]);
  });
});

describe("a key that is used again and again", () => {
  // A deleted name costs every later look at its range until etcd is compacted.
  it.each(["txn", "mutex"] as const)("leaves few names behind, with strategy %s", async (strategy) => {
    const prefix = `names ${strategy}:`;
    const locks = etcdDriver({ url: `${address()}?strategy=${strategy}&prefix=${prefix}` });
    await withClient(cluster.url, async (client) => {
      const { header } = await client.kv.range({ key: Buffer.from("any") });
      for (let round = 0; round < 50; round += 1) {
        const [writer, waiter] = [claim("k"), claim("k", { queue: true })];
        const token = await grant(locks, writer);
        await acquire(locks, waiter);
        await locks.release(
          [
            { ...writer, token },
            { key: "k", owner: waiter.owner },
          ],
          call,
        );
        const readers = Array.from({ length: 3 }, () => claim("k", { mode: "shared", limit: 3 }));
        for (const reader of readers) await grant(locks, reader);
        await locks.release(
          readers.map(({ key, owner }) => ({ key, owner })),
          call,
        );
      }
      await grant(locks, claim("last"));
      const names = new Set<string>();
      const watcher = await client
        .watch()
        .prefix(prefix)
        .startRevision(String(BigInt(header.revision) + 1n))
        .create();
      await new Promise<void>((resolve) => {
        watcher.on("put", ({ key }) => {
          if (key.includes("last")) resolve();
          else names.add(key.toString("latin1"));
        });
      });
      await watcher.cancel();
      expect(names.size).toBe(strategy === "txn" ? 4 : 5);
    });
    await locks.close();
  });
});

describe("the two strategies", () => {
  it("refuse each other's keys with a clear error, in every mode", async () => {
    const queued = etcdDriver({ url: `${address()}?strategy=mutex` });
    for (const [holder, asker, name] of [
      [driver, queued, "txn"],
      [queued, driver, "mutex"],
    ] as const) {
      for (const mode of ["exclusive", "shared"] as const) {
        const key = unique("key");
        await grant(holder, claim(key, { mode }));
        for (const wish of [claim(key), claim(key, { mode: "shared" }), claim(key, { mode: "shared", limit: 3 })]) {
          const error = await failure(asker, wish);
          expect(error).toMatchObject({ applied: "no", retryable: false });
          expect(error.message).toContain(`held or waited for with strategy "${name}"`);
        }
        expect(await holder.inspect(key, call)).toHaveLength(1);
      }
    }
    await queued.close();
  });

  it("wake only the first in the queue when a lock is released", async () => {
    const queued = etcdDriver({ url: `${address()}?strategy=mutex` });
    const key = unique("key");
    const holder = claim(key);
    const token = await grant(queued, holder);
    const waiters = Array.from({ length: 5 }, () => claim(key, { queue: true }));
    const woken = waiters.map(() => 0);
    for (const [index, waiter] of waiters.entries()) {
      await acquire(queued, waiter);
      await queued.watch?.(waiter, () => {
        woken[index] = (woken[index] as number) + 1;
      });
    }
    await queued.release([{ ...holder, token }], call);
    await eventually("the first is woken", () => (woken[0] as number) > 0);
    const first = await grant(queued, waiters[0] as (typeof waiters)[0]);
    await eventually("the second moves up", () => (woken[1] as number) > 0);
    expect(woken.slice(2)).toEqual([0, 0, 0]);
    expect(first).toBeGreaterThan(token);
    await queued.close();
  });

  it("are not woken as long as nothing happens", async () => {
    // Nobody else writes there: what the members of a cluster do by themselves makes no revision.
    const quiet = await startEtcd();
    const waiting = etcdDriver({ connection: { hosts: quiet.url } });
    const wish = claim(unique("key"));
    const token = await grant(waiting, wish);
    let woken = 0;
    await waiting.watch?.({ key: wish.key, owner: unique("owner") }, () => {
      woken += 1;
    });
    // A call that has been silent for three beats of three seconds each is taken for dead.
    await sleep(10_000);
    expect(woken).toBe(0);
    await waiting.release([{ ...wish, token }], call);
    await eventually("the waiter is woken", () => woken > 0);
    await waiting.close();
    await quiet.stop();
  }, 40_000);

  it("watch all keys over one call", async () => {
    const streams = async () => {
      const text = await (await fetch(`${cluster.url}/metrics`)).text();
      return Number(/^etcd_debugging_mvcc_watch_stream_total (\d+)/m.exec(text)?.[1] ?? 0);
    };
    await eventually("no earlier watch is left", async () => (await streams()) === 0);
    const stops = await Promise.all(Array.from({ length: 20 }, () => driver.watch?.({ key: unique("key"), owner: "o" }, () => {})));
    expect(await streams()).toBe(1);
    for (const stop of stops) stop?.();
    await eventually("the call has ended", async () => (await streams()) === 0);
  });
});

describe("options", () => {
  it("take exactly one of client, connection and url", () => {
    expect(() => etcdDriver({})).toThrow(TypeError);
    expect(() => etcdDriver({ url: address(), connection: { hosts: cluster.url } })).toThrow("exactly one");
    expect(() => etcdDriver({ client: {} as never })).toThrow("client: expected an Etcd3 client");
  });

  it("name what is wrong with a URL, and never its password", () => {
    for (const [rest, message] of [
      ["?colour=red", 'unknown parameter "colour"'],
      ["?prefix=a&prefix=b", '"prefix" is given more than once'],
      ["?tls=maybe", 'tls: expected true or false, got "maybe"'],
      ["?strategy=first", 'strategy: expected "txn" or "mutex", got "first"'],
      ["/path", "no path"],
    ] as const) {
      const make = () => backend.fromUrl(new URL(`etcd://root:s3cret@localhost:2379${rest}`));
      expect(make).toThrow(RangeError);
      expect(make).toThrow(message);
      expect(make).not.toThrow("s3cret");
    }
    expect(() => etcdDriver({ url: "redis://localhost" })).toThrow("starts with etcd://");
  });

  it("reach further members of a URL", async () => {
    const locks = backend.fromUrl(new URL(`etcd://127.0.0.1:1?node=${cluster.url.slice("http://".length)}&prefix=other:`));
    for (let round = 0; round < 5; round += 1) await grant(locks, claim(unique("key")));
    await locks.close();
  });

  it("keep drivers with different prefixes apart", async () => {
    const apart = etcdDriver({ url: `${address()}?prefix=apart:` });
    const key = unique("key");
    await grant(driver, claim(key));
    await grant(apart, claim(key));
    await apart.close();
  });

  it("leave a client of the user's open, and its deadlines and breaker aside", async () => {
    // A deadline as a plain object is evaluated once; it is over before the first claim is sent.
    const client = new etcd3.Etcd3({
      hosts: cluster.url,
      defaultCallOptions: (context) => (context.isStream ? {} : { deadline: Date.now() + 2_000 }),
    });
    const expired = new etcd3.Etcd3({ hosts: cluster.url, defaultCallOptions: { deadline: Date.now() - 1 } });
    const [locks, others] = [etcdDriver({ client }), etcdDriver({ client: expired })];
    const wish = claim(unique("key"));
    const token = await grant(locks, wish);
    const outcome = await acquire(others, claim(wish.key));
    assert.ok(!isDriverError(outcome) && !outcome.acquired);
    await locks.release([{ ...wish, token }], call);
    await locks.close();
    await others.close();
    expect(await client.get("nothing").string()).toBeNull();
    client.close();
    expired.close();
  });
});

describe("the end", () => {
  for (const strategy of ["txn", "mutex"] as const) {
    it(`lets the process end by itself after close(), while it waits and watches, with strategy ${strategy}`, async () => {
      const program = runNode(fileURLToPath(new URL("./fixtures/close.mjs", import.meta.url)), [address(), strategy]);
      await program.line(/^waiting/);
      await program.line(/^closed DLOCK_/);
      expect(await program.ended).toEqual({ code: 0, signal: null });
    });
  }

  it("answers with an error after close()", async () => {
    const locks = etcdDriver({ url: address() });
    await grant(locks, claim(unique("key")));
    await locks.close();
    await locks.close();
    expect((await failure(locks, claim(unique("key")))).applied).toBe("no");
  });
});
