/** What `inspect` and `list` show, and that a lease outlives the client that took it. */
import assert from "node:assert/strict";
import { longMs } from "../context.js";
import type { ConformanceCase } from "../types.js";

export const views: readonly ConformanceCase[] = [
  {
    name: "inspect shows who holds the key, how and since when",
    rule: "inspect",
    async run(t) {
      const key = t.key();
      const sentAt = t.clock.now();
      const { owner, token } = await t.first.grant({ key, metadata: "why" });
      await t.elapse(100);
      const { heldMs, remainingMs, ...rest } = await t.second.holder(key);
      const passedMs = t.clock.now() - sentAt;
      assert.deepEqual(rest, { owner, token, mode: "exclusive", metadata: "why" });
      const stepMs = Math.max(t.capabilities.ttlStepMs, 50);
      assert.ok(heldMs >= 100 - stepMs && heldMs >= 0 && heldMs <= passedMs + stepMs, `held for ${heldMs} ms after ${passedMs} ms`);
      assert.ok(remainingMs > longMs / 2, `${remainingMs} ms remain`);
    },
  },
  {
    name: "inspect shows no metadata where none was given",
    rule: "inspect",
    async run(t) {
      const key = t.key();
      await t.first.grant({ key });
      assert.equal((await t.second.holder(key)).metadata, undefined);
    },
  },
  {
    name: "inspect shows shared holders, oldest first",
    rule: "inspect",
    async run(t) {
      const key = t.key();
      const grants = [];
      for (const client of [t.first, t.second, t.first, t.second]) {
        grants.push(await client.grant({ key, mode: "shared" }));
        await t.elapse(5);
      }
      // Asking again and extending do not make a holder younger.
      await t.first.grant({ key, mode: "shared", owner: grants[0]?.owner as string });
      await t.first.extend(grants[1] as (typeof grants)[0], 3 * longMs);
      const holders = await t.second.inspect(key);
      assert.deepEqual(
        holders.map(({ owner, token, mode }) => [owner, token, mode]),
        grants.map(({ owner, token }) => [owner, token, "shared"]),
      );
    },
  },
  {
    name: "inspect shows nobody for a key that is free, was released or has ended",
    rule: "inspect",
    async run(t) {
      const [free, released, ended] = [t.key(), t.key(), t.key()];
      await t.first.release(await t.first.grant({ key: released }));
      await t.first.grant({ key: ended, ttlMs: t.ttlMs });
      await t.ended(ended);
      for (const key of [free, released, ended]) assert.deepEqual(await t.second.inspect(key), []);
    },
  },
  {
    name: "list shows every live lease under a prefix, once, as inspect does",
    rule: "list",
    async run(t) {
      const [one, two, three] = [t.key(), t.key(), t.key()];
      const grants = [
        await t.first.grant({ key: one, metadata: "why" }),
        await t.first.grant({ key: two, mode: "shared" }),
        await t.second.grant({ key: two, mode: "shared" }),
      ];
      await t.first.release(await t.first.grant({ key: three }));
      const records = await t.second.list(t.prefix);
      const shown = (each: { key: string; owner: string; token: bigint }) => `${each.key} ${each.owner} ${each.token}`;
      assert.deepEqual(records.map(shown).sort(), grants.map(shown).sort());
      const record = records.find(({ key }) => key === one);
      assert.deepEqual([record?.mode, record?.metadata], ["exclusive", "why"]);
      for (const { remainingMs, heldMs, mode, key } of records) {
        assert.equal(mode, key === one ? "exclusive" : "shared");
        assert.ok(remainingMs > longMs / 2 && heldMs >= 0 && heldMs < longMs / 2, `remains ${remainingMs} ms, held ${heldMs} ms`);
      }
    },
  },
  {
    name: "list leaves out ended leases",
    rule: "list",
    async run(t) {
      const [ended, live] = [t.key(), t.key()];
      await t.first.grant({ key: ended, ttlMs: t.ttlMs });
      await t.first.grant({ key: live, mode: "shared", ttlMs: t.ttlMs });
      await t.first.grant({ key: live, mode: "shared" });
      await t.ended(ended);
      await t.eventually("one of the shared leases has ended", async () => (await t.second.inspect(live)).length === 1, t.ttlMs);
      assert.deepEqual(
        (await t.second.list(t.prefix)).map(({ key }) => key),
        [live],
      );
    },
  },
  {
    name: "list takes its prefix literally",
    rule: "list",
    async run(t) {
      const base = t.key("/");
      const names = ["a", "A", "ab", "a%", "a_", "a*", "a\\", "[a]", "{a}", "'a", "á", "a ", "?"];
      for (const name of names) await t.first.grant({ key: base + name });
      for (const prefix of ["", ...names, "%", "_", "*", "[", "{", "\\", "b", "aB", "[ab]"]) {
        const found = (await t.second.list(base + prefix)).map(({ key }) => key.slice(base.length));
        assert.deepEqual(found.sort(), names.filter((name) => name.startsWith(prefix)).sort(), `under ${JSON.stringify(prefix)}`);
      }
    },
  },
  {
    name: "list without a prefix shows everything",
    rule: "list",
    async run(t) {
      const mine = [t.key(), t.key(" "), t.key("é")];
      for (const key of mine) await t.first.grant({ key });
      const keys = new Set((await t.second.list()).map(({ key }) => key));
      for (const key of mine) assert.ok(keys.has(key), `${JSON.stringify(key)} is missing`);
    },
  },
  {
    name: "list shows a thousand leases",
    rule: "list",
    async run(t) {
      const keys = new Set<string>();
      const size = Math.min(t.capabilities.maxBatch, 250);
      while (keys.size < 1_000) {
        const batch = t.keys(Math.min(size, 1_000 - keys.size));
        await t.first.acquireAll(batch.map((key) => ({ key })));
        for (const key of batch) keys.add(key);
      }
      const records = await t.second.list(t.prefix);
      assert.equal(records.length, 1_000);
      assert.deepEqual(new Set(records.map(({ key }) => key)), keys);
    },
  },
  {
    name: "list may be left before its end",
    rule: "list",
    async run(t) {
      for (let index = 0; index < 5; index += 1) await t.first.grant({ key: t.key() });
      let seen = 0;
      for await (const record of t.second.driver.list({ prefix: t.prefix })) {
        assert.ok(record.key.startsWith(t.prefix));
        seen += 1;
        if (seen === 2) break;
      }
      assert.equal(seen, 2);
      assert.equal((await t.second.list(t.prefix)).length, 5);
    },
  },
  {
    name: "a lease outlives the client that took it",
    rule: "close",
    async run(t) {
      const key = t.key();
      const client = await t.open();
      const grant = await client.grant({ key });
      await client.driver.close();
      assert.equal((await t.first.holder(key)).owner, grant.owner);
      await t.second.refusal({ key });
      assert.equal(await t.second.release(grant), true);
    },
  },
  {
    name: "closing a client leaves the others working",
    rule: "close",
    async run(t) {
      const key = t.key();
      const grant = await t.first.grant({ key });
      const client = await t.open();
      await client.refusal({ key });
      await client.driver.close();
      assert.equal(await t.first.extend(grant), true);
      await t.second.ping();
    },
  },
];
