/** R8: extending prolongs a live lease of that owner with that token, and does nothing else. */
import assert from "node:assert/strict";
import type { Holder } from "../../driver.js";
import { endsWithin, outlasts } from "../assertions.js";
import { longMs } from "../context.js";
import type { ConformanceCase } from "../types.js";

export const extend: readonly ConformanceCase[] = [
  {
    name: "extending prolongs a live lease",
    rule: "R8",
    async run(t) {
      for (const mode of ["exclusive", "shared"] as const) {
        const key = t.key();
        const grant = await t.first.grant({ key, mode });
        assert.equal(await t.first.extend(grant, 3 * longMs), true);
        const holder = await t.second.holder(key);
        outlasts(holder, 2 * longMs);
        assert.equal(holder.token, grant.token);
      }
    },
  },
  {
    name: "any client can extend with the owner and the token",
    rule: "R8",
    async run(t) {
      const key = t.key();
      const grant = await t.first.grant({ key });
      assert.equal(await t.second.extend(grant, 3 * longMs), true);
      outlasts(await t.first.holder(key), 2 * longMs);
    },
  },
  {
    name: "an extension outlives the first TTL",
    rule: "R8",
    async run(t) {
      const [short, witness] = [t.key(), t.key()];
      const grant = await t.first.grant({ key: short, ttlMs: t.roomyTtlMs });
      assert.equal(await t.first.extend(grant), true);
      await t.first.grant({ key: witness, ttlMs: t.roomyTtlMs });
      await t.ended(witness);
      assert.equal((await t.second.holder(short)).owner, grant.owner);
      await t.second.refusal({ key: short });
    },
  },
  {
    name: "a stale token extends nothing",
    rule: "R8",
    async run(t) {
      const key = t.key();
      const grant = await t.first.grant({ key });
      assert.equal(await t.first.extend({ ...grant, token: grant.token - 1n }, 3 * longMs), false);
      assert.equal(await t.first.extend({ ...grant, token: grant.token + 1n }, 3 * longMs), false);
      endsWithin(await t.second.holder(key), 2 * longMs);
    },
  },
  {
    name: "the token of an owner's earlier lease extends nothing",
    rule: "R8",
    async run(t) {
      const key = t.key();
      const before = await t.first.grant({ key });
      await t.first.release(before);
      await t.first.grant({ key, owner: before.owner });
      assert.equal(await t.first.extend(before, 3 * longMs), false);
      endsWithin(await t.second.holder(key), 2 * longMs);
    },
  },
  {
    name: "another owner extends nothing",
    rule: "R8",
    async run(t) {
      const key = t.key();
      const grant = await t.first.grant({ key });
      assert.equal(await t.second.extend({ ...grant, owner: t.owner() }, 3 * longMs), false);
      const holder = await t.second.holder(key);
      endsWithin(holder, 2 * longMs);
      assert.equal(holder.owner, grant.owner);
    },
  },
  {
    name: "a released lease is not extended",
    rule: "R8",
    async run(t) {
      const key = t.key();
      const grant = await t.first.grant({ key });
      await t.first.release(grant);
      assert.equal(await t.first.extend(grant), false);
      assert.deepEqual(await t.second.inspect(key), []);
      await t.second.grant({ key });
    },
  },
  {
    name: "an ended lease is not brought back",
    rule: "R8",
    async run(t) {
      const [exclusive, shared] = [t.key(), t.key()];
      const grants = [
        await t.first.grant({ key: exclusive, ttlMs: t.ttlMs }),
        await t.first.grant({ key: shared, mode: "shared", ttlMs: t.ttlMs }),
      ];
      for (const grant of grants) {
        await t.ended(grant.key);
        assert.equal(await t.first.extend(grant), false);
        assert.deepEqual(await t.second.inspect(grant.key), []);
        await t.second.grant({ key: grant.key });
      }
    },
  },
  {
    name: "after a takeover the former owner extends nothing",
    rule: "R8",
    async run(t) {
      const key = t.key();
      const former = await t.first.grant({ key, ttlMs: t.ttlMs });
      await t.ended(key);
      const successor = await t.second.grant({ key });
      assert.equal(await t.first.extend(former, 3 * longMs), false);
      const holder = await t.second.holder(key);
      assert.deepEqual([holder.owner, holder.token], [successor.owner, successor.token]);
      endsWithin(holder, 2 * longMs);
    },
  },
  {
    name: "extending never shortens",
    rule: "R8",
    async run(t) {
      for (const mode of ["exclusive", "shared"] as const) {
        const key = t.key();
        const grant = await t.first.grant({ key, mode, ttlMs: 3 * longMs });
        assert.equal(await t.first.extend(grant, longMs, 4 * longMs), true);
        outlasts(await t.second.holder(key), 2 * longMs);
      }
    },
  },
  {
    name: "a lease that outlasts the longest TTL it was given is cut back",
    rule: "R8",
    async run(t) {
      for (const mode of ["exclusive", "shared"] as const) {
        const key = t.key();
        const grant = await t.first.grant({ key, mode, ttlMs: 10 * longMs });
        // As if the server's clock had stepped back after a grant of a minute.
        assert.equal(await t.first.extend(grant, longMs, longMs), true);
        const holder = await t.second.holder(key);
        endsWithin(holder, 5 * longMs);
        outlasts(holder, longMs / 2);
      }
    },
  },
  {
    name: "extending one shared lease leaves the others alone",
    rule: "R8",
    async run(t) {
      const key = t.key();
      const one = await t.first.grant({ key, mode: "shared" });
      const other = await t.second.grant({ key, mode: "shared" });
      assert.equal(await t.first.extend(one, 3 * longMs), true);
      const holders = await t.second.inspect(key);
      const [extended, left] = holders as [Holder, Holder];
      assert.deepEqual([extended?.owner, left?.owner], [one.owner, other.owner]);
      outlasts(extended, 2 * longMs);
      endsWithin(left, 2 * longMs);
    },
  },
];
