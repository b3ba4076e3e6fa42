/** R7: what is not held any more costs nothing for ever, and nothing that is held is ever swept. */
import assert from "node:assert/strict";
import type { Context } from "../context.js";
import type { ConformanceCase } from "../types.js";

/** Takes `count` new keys in full batches and gives them back. */
async function useOnce(t: Context, count: number): Promise<void> {
  const size = Math.min(t.capabilities.maxBatch, 250);
  for (let used = 0; used < count; used += size) {
    const owner = t.owner();
    const keys = t.keys(Math.min(size, count - used));
    await t.first.acquireAll(keys.map((key) => ({ key, owner })));
    await t.first.releaseEach(keys.map((key) => ({ key, owner })));
  }
}

export const bounded: readonly ConformanceCase[] = [
  {
    name: "a sweep spares live leases",
    rule: "R7",
    async run(t) {
      const [exclusive, shared] = [t.key(), t.key()];
      const grants = [
        await t.first.grant({ key: exclusive }),
        await t.first.grant({ key: shared, mode: "shared" }),
        await t.second.grant({ key: shared, mode: "shared" }),
      ];
      await t.second.sweep();
      await t.second.refusal({ key: exclusive });
      assert.equal((await t.second.inspect(shared)).length, 2);
      for (const grant of grants) assert.equal(await t.first.extend(grant), true);
    },
  },
  {
    name: "a sweep spares what is live under a key with ended leases",
    rule: "R7",
    async run(t) {
      const key = t.key();
      await t.first.grant({ key, mode: "shared", ttlMs: t.ttlMs });
      const live = await t.second.grant({ key, mode: "shared" });
      await t.eventually("one of the leases has ended", async () => (await t.second.inspect(key)).length === 1, t.ttlMs);
      await t.first.sweep();
      assert.equal((await t.first.holder(key)).owner, live.owner);
      assert.equal(await t.second.release(live), true);
    },
  },
  {
    name: "a second sweep finds nothing more",
    rule: "R7",
    alone: true,
    async run(t) {
      const keys = t.keys(Math.min(20, t.capabilities.maxBatch));
      await t.first.acquireAll(keys.map((key) => ({ key, ttlMs: t.ttlMs })));
      await useOnce(t, 20);
      for (const key of keys) await t.ended(key);
      const swept = await t.first.sweep();
      assert.ok(Number.isInteger(swept) && swept >= 0, `swept ${swept}`);
      assert.equal(await t.first.sweep(), 0);
    },
  },
  {
    name: "keys that were used once leave nothing behind",
    rule: "R7",
    alone: true,
    needs: (_capabilities, setup) => setup.countRecords !== undefined,
    async run(t) {
      const count = async () => Number(await t.countRecords?.());
      // What a store needs once (a counter for each slot group, say) is there after the first round.
      await useOnce(t, 250);
      await t.first.sweep();
      const before = await count();
      await useOnce(t, 1_000);
      await t.first.sweep();
      const grown = (await count()) - before;
      assert.ok(grown < 250, `1,000 released keys leave ${grown} records`);
    },
  },
  {
    name: "leases that ended by themselves leave nothing behind a sweep",
    rule: "R7",
    alone: true,
    needs: (_capabilities, setup) => setup.countRecords !== undefined,
    async run(t) {
      const count = async () => Number(await t.countRecords?.());
      await t.first.sweep();
      const before = await count();
      const size = Math.min(t.capabilities.maxBatch, 250);
      const last: string[] = [];
      for (let used = 0; used < 500; used += size) {
        const keys = t.keys(Math.min(size, 500 - used));
        await t.first.acquireAll(keys.map((key) => ({ key, ttlMs: t.ttlMs })));
        last.push(keys.at(-1) as string);
      }
      for (const key of last) await t.ended(key);
      await t.eventually("the ended leases are swept", async () => {
        await t.first.sweep();
        return (await count()) - before < 250;
      });
    },
  },
];
