/** R10: a batch is many claims at once, each judged as if it were alone. */
import assert from "node:assert/strict";
import type { AcquireResult } from "../../driver.js";
import { endsWithin, outlasts } from "../assertions.js";
import { longMs } from "../context.js";
import type { ConformanceCase } from "../types.js";

const granted = (results: readonly AcquireResult[]) => results.map(({ acquired }) => acquired);

/** The largest batch that is tried, whatever a backend declares. */
const most = 2_048;

export const batch: readonly ConformanceCase[] = [
  {
    name: "each claim of a batch gets its own verdict, in order",
    rule: "R10",
    async run(t) {
      const keys = t.keys(Math.min(6, t.capabilities.maxBatch));
      const held = (index: number) => index % 3 === 1;
      for (const [index, key] of keys.entries()) if (held(index)) await t.second.grant({ key });
      const owners = keys.map(() => t.owner());
      const results = await t.first.acquireAll(keys.map((key, index) => ({ key, owner: owners[index] as string })));
      assert.deepEqual(
        granted(results),
        keys.map((_, index) => !held(index)),
      );
      for (const [index, key] of keys.entries()) {
        const holder = await t.first.holder(key);
        const result = results[index];
        if (result?.acquired) assert.deepEqual([holder.owner, holder.token], [owners[index], result.token]);
        else assert.notEqual(holder.owner, owners[index]);
      }
    },
  },
  {
    name: "modes, limits and owners mix in one batch",
    rule: "R10",
    needs: ({ maxBatch }) => maxBatch >= 8,
    async run(t) {
      const [free, taken, read, full, room, again, other, late] = t.keys(8) as [
        string,
        string,
        string,
        string,
        string,
        string,
        string,
        string,
      ];
      await t.second.grant({ key: taken });
      await t.second.grant({ key: read, mode: "shared" });
      await t.second.grant({ key: full, mode: "shared", limit: 1 });
      await t.second.grant({ key: room, mode: "shared", limit: 2 });
      const mine = await t.second.grant({ key: again });
      const reader = await t.second.grant({ key: other, mode: "shared" });
      const results = await t.first.acquireAll([
        { key: free, metadata: "free" },
        { key: taken, mode: "shared" },
        { key: read },
        { key: full, mode: "shared", limit: 1 },
        { key: room, mode: "shared", limit: 2 },
        { key: again, owner: mine.owner },
        { key: other, owner: reader.owner, mode: "exclusive" },
        { key: late, mode: "shared", ttlMs: 3 * longMs },
      ]);
      assert.deepEqual(granted(results), [true, false, false, false, true, true, false, true]);
      assert.equal(results[5]?.acquired && results[5].token, mine.token);
      assert.equal((await t.first.holder(free)).metadata, "free");
      const last = await t.first.holder(late);
      assert.equal(last.mode, "shared");
      outlasts(last, 2 * longMs);
    },
  },
  {
    name: "a full batch of claims is answered whole",
    rule: "R10",
    async run(t) {
      const keys = t.keys(Math.min(t.capabilities.maxBatch, most));
      const taken = [...new Set([0, Math.floor(keys.length / 2), keys.length - 1])];
      const blocker = t.owner();
      await t.second.acquireAll(taken.map((index) => ({ key: keys[index] as string, owner: blocker })));
      const owner = t.owner();
      const results = await t.first.acquireAll(keys.map((key) => ({ key, owner })));
      assert.deepEqual(
        granted(results),
        keys.map((_, index) => !taken.includes(index)),
      );
    },
  },
  {
    name: "a full batch is extended and released whole",
    rule: "R10",
    async run(t) {
      const keys = t.keys(Math.min(t.capabilities.maxBatch, most));
      const owner = t.owner();
      const results = await t.first.acquireAll(keys.map((key) => ({ key, owner })));
      const claims = results.map((result, index) => ({
        key: keys[index] as string,
        owner,
        token: result.acquired ? result.token : 0n,
        ttlMs: 3 * longMs,
        longestMs: 3 * longMs,
      }));
      assert.deepEqual(new Set(await t.second.extendAll(claims)), new Set([true]));
      for (const index of [0, keys.length - 1]) outlasts(await t.first.holder(keys[index] as string), 2 * longMs);
      const stale = Math.floor(keys.length / 2);
      const released = await t.second.releaseEach(
        claims.map(({ key, token }, index) => ({ key, owner, token: index === stale ? token + 1n : token })),
      );
      assert.deepEqual(
        released,
        keys.map((_, index) => index !== stale),
      );
    },
  },
  {
    name: "a full batch of the longest claims is answered whole",
    rule: "R10",
    async run(t) {
      // So that a limit on the size of a request shows.
      const owner = t.owner().padEnd(255, "o");
      const metadata = "m".repeat(1_024);
      const keys = t.keys(Math.min(t.capabilities.maxBatch, most));
      const results = await t.first.acquireAll(keys.map((key) => ({ key, owner, metadata })));
      assert.deepEqual(new Set(granted(results)), new Set([true]));
      const holder = await t.second.holder(keys.at(-1) as string);
      assert.deepEqual([holder.owner, holder.metadata], [owner, metadata]);
    },
  },
  {
    name: "each extension of a batch gets its own verdict, in order",
    rule: "R10",
    needs: ({ maxBatch }) => maxBatch >= 5,
    async run(t) {
      const [mine, stale, theirs, free, last] = t.keys(5) as [string, string, string, string, string];
      const owner = t.owner();
      const ttls = { ttlMs: 3 * longMs, longestMs: 3 * longMs };
      const one = await t.first.grant({ key: mine, owner });
      const two = await t.first.grant({ key: stale, owner });
      const three = await t.second.grant({ key: theirs });
      const five = await t.first.grant({ key: last, owner, mode: "shared" });
      const verdicts = await t.first.extendAll([
        { key: mine, owner, token: one.token, ...ttls },
        { key: stale, owner, token: two.token + 1n, ...ttls },
        { key: theirs, owner, token: three.token, ...ttls },
        { key: free, owner, token: one.token, ...ttls },
        { key: last, owner, token: five.token, ...ttls },
      ]);
      assert.deepEqual(verdicts, [true, false, false, false, true]);
      for (const key of [mine, last]) outlasts(await t.second.holder(key), 2 * longMs);
      for (const key of [stale, theirs]) endsWithin(await t.second.holder(key), 2 * longMs);
      assert.deepEqual(await t.second.inspect(free), []);
    },
  },
  {
    name: "each release of a batch gets its own verdict, in order",
    rule: "R10",
    needs: ({ maxBatch }) => maxBatch >= 6,
    async run(t) {
      const [mine, stale, theirs, free, undone, last] = t.keys(6) as [string, string, string, string, string, string];
      const owner = t.owner();
      const one = await t.first.grant({ key: mine, owner });
      const two = await t.first.grant({ key: stale, owner });
      const three = await t.second.grant({ key: theirs });
      await t.first.grant({ key: undone, owner });
      const six = await t.first.grant({ key: last, owner, mode: "shared" });
      const verdicts = await t.first.releaseEach([
        { key: mine, owner, token: one.token },
        { key: stale, owner, token: two.token + 1n },
        { key: theirs, owner, token: three.token },
        { key: free, owner },
        { key: undone, owner },
        { key: last, owner, token: six.token },
      ]);
      assert.deepEqual(verdicts, [true, false, false, false, true, true]);
      for (const key of [mine, free, undone, last]) assert.deepEqual(await t.second.inspect(key), []);
      for (const key of [stale, theirs]) await t.second.holder(key);
    },
  },
  {
    name: "several owners of one key are extended and released in one batch",
    rule: "R10",
    needs: ({ maxBatch }) => maxBatch >= 3,
    async run(t) {
      const key = t.key();
      const one = await t.first.grant({ key, mode: "shared" });
      const two = await t.second.grant({ key, mode: "shared" });
      const three = await t.first.grant({ key, mode: "shared" });
      const ttls = { ttlMs: 3 * longMs, longestMs: 3 * longMs };
      const extended = await t.first.extendAll([
        { key, owner: one.owner, token: one.token, ...ttls },
        { key, owner: two.owner, token: three.token, ...ttls },
        { key, owner: three.owner, token: three.token, ...ttls },
      ]);
      assert.deepEqual(extended, [true, false, true]);
      const released = await t.first.releaseEach([
        { key, owner: one.owner, token: one.token },
        { key, owner: two.owner, token: one.token },
        { key, owner: three.owner },
      ]);
      assert.deepEqual(released, [true, false, true]);
      assert.equal((await t.second.holder(key)).owner, two.owner);
    },
  },
];
