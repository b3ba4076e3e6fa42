/** What happens when the network between the members parts: a leader that its clients still reach, but no member does. */
import { createLockProvider, type Lock, LockBackendError } from "@dlock/core";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { etcdDriver } from "../src/index.ts";
import { call, eventually, roles, unique } from "./helpers.ts";
import { type Network, startNetwork } from "./network.ts";

let network: Network;
beforeAll(async () => {
  network = await startNetwork();
}, 60_000);
afterAll(() => network.stop());

/** Somebody was inside from then to then, as far as they knew. */
interface Stay {
  readonly who: string;
  readonly token: bigint;
  readonly from: number;
  readonly to: number;
}

const ttlMs = 3_000;

/** A driver that begins with a member of its choice, where others begin with any. */
function driverFrom(first: number, hosts: readonly string[]) {
  const random = vi.spyOn(Math, "random").mockReturnValue((first + 0.5) / hosts.length);
  try {
    return etcdDriver({ connection: { hosts: [...hosts] } });
  } finally {
    random.mockRestore();
  }
}

describe("a leader that is cut off from its followers", () => {
  it("costs its client the lock before the majority grants it again, and those nothing that reach a follower", async () => {
    const { cluster } = network;
    const { leader } = await roles(cluster);
    const cut = cluster.members.indexOf(leader);
    const others = cluster.hosts.filter((_, member) => member !== cut);
    const lonelyDriver = driverFrom(0, [leader.url]);
    const lonely = createLockProvider(lonelyDriver, { ttlMs });
    const roaming = createLockProvider(driverFrom(cut, cluster.hosts), { ttlMs: 15_000 });
    const majority = createLockProvider(driverFrom(0, others), { ttlMs, waitMs: 60_000 });
    const [key, kept, ghost] = [unique("key"), unique("kept"), unique("ghost")];

    const history: Stay[] = [];
    const stay = (who: string, lock: Lock, from: number) => history.push({ who, token: lock.token, from, to: performance.now() });
    let over = false;
    const contend = async () => {
      while (!over) {
        await majority.withLock(key, async (lock) => {
          const from = performance.now();
          await new Promise((resolve) => setImmediate(resolve));
          stay("majority", lock, from);
        });
      }
    };

    const lock = await lonely.lock(key);
    const heldFrom = performance.now();
    lock.signal.addEventListener("abort", () => stay("lonely", lock, heldFrom));
    const keeper = await roaming.lock(kept);
    const contenders = [contend(), contend(), contend()];
    const renewed = lonely.stats().refreshCount;
    await eventually("the lock is renewed while all is well", () => lonely.stats().refreshCount > renewed);

    network.cutOff(cut);
    const cutAt = performance.now();
    const keptRenewals = roaming.stats().refreshCount;
    const refusal = await lonely.tryLock(ghost).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(LockBackendError);
    await eventually("its client is told", () => history.length > 0);
    expect(lock.isHeld).toBe(false);
    expect(history).toMatchObject([{ who: "lonely" }]);
    // By its own clock, and not by an answer that does not come.
    expect((history[0] as Stay).to - cutAt).toBeLessThan(ttlMs + 500);
    await expect(lonelyDriver.ping(call)).rejects.toThrow("no leader");

    await eventually("the majority grants the lock again", () => history.some(({ who }) => who === "majority"));
    await eventually("whoever knows more members has renewed", () => roaming.stats().refreshCount > keptRenewals);
    expect([keeper.isHeld, keeper.signal.aborted]).toEqual([true, false]);

    network.heal();
    await eventually("the former leader answers again", () =>
      lonely.ping().then(
        () => true,
        () => false,
      ),
    );
    // What it held back has arrived by now, if it ever does: the proposals of a leader without followers.
    expect(await lonely.inspect(ghost)).toEqual([]);
    expect(await lock.unlock()).toBe(false);
    await lonely.withLock(key, { waitMs: 30_000 }, async (again) => {
      stay("lonely again", again, performance.now());
      over = true;
    });
    await Promise.all(contenders);
    expect(await keeper.unlock()).toBe(true);
    for (const provider of [lonely, roaming, majority]) await provider.close();

    const inOrder = [...history].sort((one, other) => one.from - other.from);
    for (const [index, next] of inOrder.slice(1).entries()) {
      const before = inOrder[index] as Stay;
      expect(next.from, `${before.who} was still inside when ${next.who} came`).toBeGreaterThanOrEqual(before.to);
      expect(next.token, `the token of ${next.who} after that of ${before.who}`).toBeGreaterThan(before.token);
    }
    expect(inOrder.at(0)?.who).toBe("lonely");
    expect(new Set(inOrder.map(({ who }) => who)).size).toBe(3);
  }, 60_000);
});
