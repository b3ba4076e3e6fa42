/** The guard: what it lets through, what it refuses, and that it is needed. */
import { fileURLToPath } from "node:url";
import { createLockProvider, type Lock, LockNotHeldError, type LockProvider } from "@dlock/core";
import { runNode } from "@dlock-tooling/faults";
import { type EtcdCluster, startEtcd } from "@dlock-tooling/services";
import etcd3 from "etcd3";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { etcdDriver, etcdGuard } from "../src/index.ts";
import { eventually, unique } from "./helpers.ts";

let cluster: EtcdCluster;
let client: InstanceType<typeof etcd3.Etcd3>;
beforeAll(async () => {
  cluster = await startEtcd();
  client = new etcd3.Etcd3({ hosts: cluster.url });
}, 60_000);
afterAll(async () => {
  client.close();
  await cluster.stop();
});

describe.each(["txn", "mutex"] as const)("a guarded write, with strategy %s", (strategy) => {
  const guard = etcdGuard({ strategy });
  let locks: LockProvider;
  let others: LockProvider;
  beforeAll(() => {
    locks = createLockProvider(etcdDriver({ client, strategy }), { ttlMs: 5_000 });
    others = createLockProvider(etcdDriver({ client, strategy }), { ttlMs: 5_000 });
  });
  afterAll(async () => {
    await locks.close();
    await others.close();
  });

  const write = async (compare: ReturnType<typeof guard>, name: string, value: string) =>
    (
      await client
        .if(...compare)
        .then(client.put(name).value(value))
        .commit()
    ).succeeded;

  it("is made while the lock is held, over renewals too", async () => {
    const key = unique("key");
    await locks.withLock(key, async (lock) => {
      expect(await write(guard(lock), key, "one")).toBe(true);
      await lock.refresh(60_000);
      expect(await write(guard(lock), key, "two")).toBe(true);
      expect(await client.get(key).string()).toBe("two");
    });
  });

  it("is made by each holder of a line that hands the lock on inside the process", async () => {
    const key = unique("key");
    const written = await Promise.all(
      Array.from({ length: 5 }, (_, index) => locks.withLock(key, (lock) => write(guard(lock), key, `${index}`))),
    );
    expect(written).toEqual([true, true, true, true, true]);
    expect(locks.stats().handOffs).toBeGreaterThan(0);
  });

  it("is refused, and changes nothing, once the lock is released, and while another holds it", async () => {
    const key = unique("key");
    const first = await locks.lock(key);
    const stale = guard(first);
    await write(stale, key, "first");
    await first.unlock();
    expect(await write(stale, key, "late")).toBe(false);
    const second = await others.lock(key);
    expect(await write(stale, key, "late")).toBe(false);
    expect(await client.get(key).string()).toBe("first");
    expect(await write(guard(second), key, "second")).toBe(true);
    await second.unlock();
    // The first again, under the same name: its earlier grant counts for nothing.
    const third = await locks.lock(key);
    expect(await write(stale, key, "late")).toBe(false);
    expect(await client.get(key).string()).toBe("second");
    await third.unlock();
  });

  it("is refused when the record was deleted behind the holder", async () => {
    const key = unique("key");
    const lock = await locks.lock(key);
    const compare = guard(lock);
    await client.delete().prefix(`lock:${key}`);
    expect(lock.isHeld).toBe(true);
    expect(await write(compare, key, "late")).toBe(false);
    await lock.unlock();
  });

  it("goes with conditions and alternatives of the user's own", async () => {
    const key = unique("key");
    await client.put(key).value("open");
    await locks.withLock(key, async (lock) => {
      const close = () =>
        client
          .if(key, "Value", "==", "open")
          .and(...guard(lock))
          .then(client.put(key).value("closed"))
          .else(client.get(key))
          .commit();
      expect((await close()).succeeded).toBe(true);
      const again = await close();
      expect(again.succeeded).toBe(false);
      expect(again.responses[0]?.response_range?.kvs?.[0]?.value.toString()).toBe("closed");
    });
  });

  it("is refused with the other strategy or another prefix, and made in a namespace of etcd3 that holds the prefix", async () => {
    const key = unique("key");
    const lock = await locks.lock(key);
    expect(await write(etcdGuard({ strategy: strategy === "txn" ? "mutex" : "txn" })(lock), key, "wrong")).toBe(false);
    expect(await write(etcdGuard({ strategy, prefix: "other:" })(lock), key, "wrong")).toBe(false);
    const inside = client.namespace("lock:");
    const compare = etcdGuard({ strategy, prefix: "" })(lock);
    const { succeeded } = await inside
      .if(...compare)
      .then(inside.put("beside").value("right"))
      .commit();
    expect(succeeded).toBe(true);
    await lock.unlock();
  });

  it("takes no shared lock, no lock that is released, and nothing that is no lock", async () => {
    const key = unique("key");
    const shared = await locks.lock(key, { mode: "shared" });
    expect(() => guard(shared)).toThrow(TypeError);
    await shared.unlock();
    const released = await locks.lock(key);
    await released.unlock();
    expect(() => guard(released)).toThrow(LockNotHeldError);
    expect(() => guard({ key, token: 1 } as unknown as Lock)).toThrow(TypeError);
  });
});

it("a guard with an unknown strategy is a RangeError", () => {
  expect(() => etcdGuard({ strategy: "first" as "txn" })).toThrow('strategy: expected "txn" or "mutex", got "first"');
});

/** As Jepsen does it: holders stall past their TTL between reading the set and writing it. */
describe.concurrent("a set that is updated under the lock by processes that stall", () => {
  async function update(strategy: string, guarded: string): Promise<{ lost: string[]; refused: string[]; stale: string[] }> {
    const script = fileURLToPath(new URL("./fixtures/set.mjs", import.meta.url));
    const plans = [
      ["a", "pauses"],
      ["b", "pauses"],
      ["c", "runs"],
    ] as const;
    const programs = plans.map(([name, pauses]) => runNode(script, [cluster.url, strategy, guarded, name, pauses]));
    const said = (verb: string) =>
      programs.flatMap(({ lines }) => lines.map((line) => line.split(" "))).filter(([said]) => said === verb) as [string, string, string][];
    const elements = (verb: string) => said(verb).map(([, element]) => element);
    const stale: string[] = [];
    await Promise.all(
      programs.slice(0, 2).map(async (program) => {
        const [, element = "", token = ""] = (await program.line(/^stalls /)).split(" ");
        program.pause();
        // By its token, since lines of several programs come in any order.
        const overtaken = () => said("added").some(([, , later]) => BigInt(later) > BigInt(token));
        await eventually("another has taken the lock over and added an element", overtaken, 30_000);
        program.say("go");
        program.resume();
        const [verb] = (await program.line(new RegExp(`^(added|refused) ${element} `))).split(" ");
        stale.push(`${verb} ${element}`);
      }),
    );
    for (const program of programs) program.say("end");
    for (const program of programs) expect(await program.ended, program.lines.at(-1)).toEqual({ code: 0, signal: null });
    const set = new Set(JSON.parse((await client.get(`${strategy} ${guarded}`).string()) as string) as string[]);
    const refused = elements("refused");
    expect(refused.filter((element) => set.has(element))).toEqual([]);
    return { lost: elements("added").filter((element) => !set.has(element)), refused, stale };
  }

  it.each(["txn", "mutex"])(
    "loses elements without the guard, with strategy %s",
    async (strategy) => {
      const { lost, stale } = await update(strategy, "bare");
      expect(stale.sort()).toEqual(["added a2", "added b2"]);
      expect(lost.length).toBeGreaterThan(0);
    },
    60_000,
  );

  it.each(["txn", "mutex"])(
    "loses none with it, with strategy %s",
    async (strategy) => {
      const { lost, refused, stale } = await update(strategy, "guarded");
      expect(stale.sort()).toEqual(["refused a2", "refused b2"]);
      expect(refused).toEqual(expect.arrayContaining(["a2", "b2"]));
      expect(lost).toEqual([]);
    },
    60_000,
  );
});
