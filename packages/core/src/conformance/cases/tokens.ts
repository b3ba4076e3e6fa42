/** R6: the fencing token of a key only grows, whatever happens between two grants. */
import assert from "node:assert/strict";
import type { Client, Grant } from "../client.js";
import type { Context } from "../context.js";
import type { ConformanceCase } from "../types.js";

function grows(before: Grant, after: Grant): void {
  assert.ok(after.token > before.token, `token ${after.token} follows ${before.token}`);
}

/** Grants and frees other keys, as traffic between two grants of a key would. */
async function traffic(t: Context, client: Client): Promise<void> {
  for (const key of t.keys(3)) await client.release(await client.grant({ key }));
}

export const tokens: readonly ConformanceCase[] = [
  {
    name: "a token is a positive integer below 2^53",
    rule: "R6",
    async run(t) {
      const { token } = await t.first.grant({ key: t.key() });
      assert.equal(typeof token, "bigint");
      assert.ok(token > 0n && token < 2n ** 53n, `${token} is out of range`);
    },
  },
  {
    name: "tokens grow over release",
    rule: "R6",
    async run(t) {
      const key = t.key();
      let before = await t.first.grant({ key });
      for (const client of [t.second, t.first, t.second]) {
        await client.release(before);
        await traffic(t, client);
        const after = await client.grant({ key });
        grows(before, after);
        before = after;
      }
    },
  },
  {
    name: "tokens grow when a lease ends and another client takes over",
    rule: "R6",
    async run(t) {
      const key = t.key();
      const before = await t.first.grant({ key, ttlMs: t.ttlMs });
      await t.ended(key);
      grows(before, await t.second.grant({ key }));
    },
  },
  {
    name: "tokens grow when shared leases end and an exclusive claim takes over",
    rule: "R6",
    async run(t) {
      const key = t.key();
      const one = await t.first.grant({ key, mode: "shared", ttlMs: t.ttlMs });
      const other = await t.second.grant({ key, mode: "shared", ttlMs: t.ttlMs });
      await t.ended(key);
      const after = await t.second.grant({ key });
      grows(one, after);
      grows(other, after);
    },
  },
  {
    name: "tokens grow over a sweep after release",
    rule: "R6",
    async run(t) {
      const key = t.key();
      const before = await t.first.grant({ key });
      await t.first.release(before);
      await t.second.sweep();
      grows(before, await t.second.grant({ key }));
    },
  },
  {
    name: "tokens grow over a sweep after the lease has ended",
    rule: "R6",
    async run(t) {
      const key = t.key();
      const before = await t.first.grant({ key, ttlMs: t.ttlMs });
      await t.ended(key);
      await t.first.sweep();
      grows(before, await t.second.grant({ key }));
    },
  },
  {
    name: "tokens grow when one client closes and another opens",
    rule: "R6",
    async run(t) {
      const key = t.key();
      const one = await t.open();
      const before = await one.grant({ key });
      await one.release(before);
      await one.driver.close();
      const other = await t.open();
      const after = await other.grant({ key });
      grows(before, after);
      await other.release(after);
    },
  },
  {
    name: "tokens grow from one shared lease to the next, and over to an exclusive one",
    rule: "R6",
    async run(t) {
      const key = t.key();
      const one = await t.first.grant({ key, mode: "shared" });
      const two = await t.second.grant({ key, mode: "shared" });
      const three = await t.first.grant({ key, mode: "shared", limit: 3 });
      grows(one, two);
      grows(two, three);
      // Not in the order of the grants: the last to go must not decide what comes next.
      for (const grant of [three, one, two]) await t.second.release(grant);
      grows(three, await t.first.grant({ key }));
    },
  },
  {
    name: "tokens grow in batches too",
    rule: "R6",
    async run(t) {
      const keys = t.keys(Math.min(8, t.capabilities.maxBatch));
      let last = new Map<string, bigint>();
      for (const client of [t.first, t.second, t.first]) {
        const owner = t.owner();
        const results = await client.acquireAll(keys.map((key) => ({ key, owner })));
        const granted = new Map<string, bigint>();
        for (const [index, result] of results.entries()) {
          const key = keys[index] as string;
          assert.ok(result.acquired, `${key} is refused`);
          assert.ok(result.token > (last.get(key) ?? 0n), `token ${result.token} follows ${last.get(key)}`);
          granted.set(key, result.token);
        }
        await client.releaseEach(keys.map((key) => ({ key, owner })));
        // The next round asks in the other order.
        keys.reverse();
        last = granted;
      }
    },
  },
  {
    name: "extending and asking again keep the token",
    rule: "R6",
    async run(t) {
      const key = t.key();
      const { owner, token, ...rest } = await t.first.grant({ key });
      assert.equal(await t.second.extend({ ...rest, owner, token }), true);
      await traffic(t, t.second);
      assert.equal((await t.second.grant({ key, owner })).token, token);
      assert.equal((await t.first.holder(key)).token, token);
    },
  },
  {
    name: "tokens grow in the order of the grants when two clients race",
    rule: "R6",
    async run(t) {
      const key = t.key();
      let last = 0n;
      for (let round = 0; round < 10; round += 1) {
        const owners: [string, string] = [t.owner(), t.owner()];
        const results = await Promise.all([t.first.acquire({ key, owner: owners[0] }), t.second.acquire({ key, owner: owners[1] })]);
        const winner = results.findIndex(({ acquired }) => acquired);
        const won = results[winner];
        assert.ok(won?.acquired, "nobody wins");
        assert.ok(won.token > last, `token ${won.token} follows ${last}`);
        last = won.token;
        await t.first.release({ key, owner: owners[winner] as string });
      }
    },
  },
];
