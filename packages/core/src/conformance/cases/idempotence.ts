/** R4: the owner of a live lease who asks again is granted again. A lost reply is mended by asking again. */
import assert from "node:assert/strict";
import { outlasts } from "../assertions.js";
import { longMs } from "../context.js";
import type { ConformanceCase } from "../types.js";

export const idempotence: readonly ConformanceCase[] = [
  {
    name: "an owner who asks again is granted again with the same token",
    rule: "R4",
    async run(t) {
      const key = t.key();
      const { owner, token } = await t.first.grant({ key });
      assert.equal((await t.first.grant({ key, owner })).token, token);
      assert.equal((await t.second.grant({ key, owner })).token, token);
      await t.second.holder(key);
    },
  },
  {
    name: "asking again renews the TTL",
    rule: "R4",
    async run(t) {
      const key = t.key();
      const { owner } = await t.first.grant({ key, ttlMs: longMs });
      const { ttlMs } = await t.first.grant({ key, owner, ttlMs: 3 * longMs });
      assert.ok(ttlMs >= 3 * longMs, `the TTL given is ${ttlMs} ms`);
      outlasts(await t.second.holder(key), 2 * longMs);
    },
  },
  {
    name: "asking again never shortens the TTL",
    rule: "R4",
    async run(t) {
      const key = t.key();
      const { owner } = await t.first.grant({ key, ttlMs: 3 * longMs });
      await t.first.grant({ key, owner, ttlMs: longMs });
      outlasts(await t.second.holder(key), 2 * longMs);
    },
  },
  {
    name: "asking again keeps the metadata",
    rule: "R4",
    async run(t) {
      const key = t.key();
      const { owner } = await t.first.grant({ key, metadata: "first" });
      await t.first.grant({ key, owner, metadata: "second" });
      await t.first.grant({ key, owner });
      assert.equal((await t.second.holder(key)).metadata, "first");
    },
  },
  {
    name: "asking again in the other mode is refused and changes nothing",
    rule: "R4",
    async run(t) {
      const [exclusive, shared] = [t.key(), t.key()];
      const { owner, token } = await t.first.grant({ key: exclusive });
      await t.first.refusal({ key: exclusive, owner, mode: "shared" });
      const kept = await t.second.holder(exclusive);
      assert.deepEqual([kept.owner, kept.token, kept.mode], [owner, token, "exclusive"]);

      const reader = await t.first.grant({ key: shared, mode: "shared" });
      await t.first.refusal({ key: shared, owner: reader.owner, mode: "exclusive" });
      const still = await t.second.holder(shared);
      assert.deepEqual([still.owner, still.token, still.mode], [reader.owner, reader.token, "shared"]);
    },
  },
  {
    name: "asking again for a slot takes no second one",
    rule: "R4",
    async run(t) {
      const key = t.key();
      const one = await t.first.grant({ key, mode: "shared", limit: 2 });
      await t.first.grant({ key, mode: "shared", limit: 2, owner: one.owner });
      const other = await t.second.grant({ key, mode: "shared", limit: 2 });
      assert.equal((await t.first.inspect(key)).length, 2);
      await t.first.release(one);
      await t.first.release(other);
      assert.deepEqual(await t.first.inspect(key), []);
    },
  },
  {
    name: "asking again for a slot is granted when all slots are taken",
    rule: "R4",
    async run(t) {
      const key = t.key();
      const one = await t.first.grant({ key, mode: "shared", limit: 2 });
      await t.second.grant({ key, mode: "shared", limit: 2 });
      assert.equal((await t.first.grant({ key, mode: "shared", limit: 2, owner: one.owner })).token, one.token);
    },
  },
  {
    name: "asking again for a slot renews it, although the others alone fill a lower limit",
    rule: "R4",
    async run(t) {
      const key = t.key();
      const { owner, token } = await t.first.grant({ key, mode: "shared", limit: 2, ttlMs: longMs });
      await t.second.grant({ key, mode: "shared", limit: 2, ttlMs: longMs });
      const again = await t.first.grant({ key, mode: "shared", limit: 1, owner, ttlMs: 3 * longMs });
      assert.equal(again.token, token);
      const own = (await t.second.inspect(key)).find((holder) => holder.owner === owner);
      assert.ok(own !== undefined, "the lease is gone");
      outlasts(own, 2 * longMs);
    },
  },
  {
    name: "an owner who asks after releasing gets a new lease",
    rule: "R4",
    async run(t) {
      const key = t.key();
      const before = await t.first.grant({ key, metadata: "before" });
      await t.first.release(before);
      const after = await t.first.grant({ key, owner: before.owner, metadata: "after" });
      assert.ok(after.token > before.token, "the token does not grow");
      assert.equal((await t.first.holder(key)).metadata, "after");
    },
  },
  {
    name: "an owner who asks after the lease has ended gets a new lease",
    rule: "R4",
    async run(t) {
      const key = t.key();
      const before = await t.first.grant({ key, ttlMs: t.ttlMs, metadata: "before" });
      await t.ended(key);
      const after = await t.first.grant({ key, owner: before.owner, mode: "shared", metadata: "after" });
      assert.ok(after.token > before.token, "the token does not grow");
      const { mode, metadata } = await t.first.holder(key);
      assert.deepEqual([mode, metadata], ["shared", "after"]);
    },
  },
];
