/** R9: releasing ends the lease of that owner with that token, and nothing else. */
import assert from "node:assert/strict";
import type { ConformanceCase } from "../types.js";

export const release: readonly ConformanceCase[] = [
  {
    name: "releasing frees the key, once",
    rule: "R9",
    async run(t) {
      for (const mode of ["exclusive", "shared"] as const) {
        const key = t.key();
        const grant = await t.first.grant({ key, mode });
        assert.equal(await t.first.release(grant), true);
        assert.deepEqual(await t.second.inspect(key), []);
        assert.equal(await t.first.release(grant), false);
        assert.equal(await t.first.release({ key, owner: grant.owner }), false);
      }
    },
  },
  {
    name: "any client can release with the owner and the token",
    rule: "R9",
    async run(t) {
      const key = t.key();
      const grant = await t.first.grant({ key });
      assert.equal(await t.second.release(grant), true);
      assert.deepEqual(await t.first.inspect(key), []);
    },
  },
  {
    name: "another token releases nothing",
    rule: "R9",
    async run(t) {
      const key = t.key();
      const grant = await t.first.grant({ key });
      assert.equal(await t.first.release({ ...grant, token: grant.token - 1n }), false);
      assert.equal(await t.first.release({ ...grant, token: grant.token + 1n }), false);
      assert.equal((await t.second.holder(key)).token, grant.token);
    },
  },
  {
    name: "the token of an owner's earlier lease releases nothing",
    rule: "R9",
    async run(t) {
      const key = t.key();
      const before = await t.first.grant({ key });
      await t.first.release(before);
      const after = await t.first.grant({ key, owner: before.owner });
      assert.equal(await t.first.release(before), false);
      assert.equal((await t.second.holder(key)).token, after.token);
    },
  },
  {
    name: "another owner releases nothing, with the right token or without",
    rule: "R9",
    async run(t) {
      for (const mode of ["exclusive", "shared"] as const) {
        const key = t.key();
        const grant = await t.first.grant({ key, mode });
        const stranger = t.owner();
        assert.equal(await t.second.release({ ...grant, owner: stranger }), false);
        assert.equal(await t.second.release({ key, owner: stranger }), false);
        assert.equal((await t.second.holder(key)).owner, grant.owner);
      }
    },
  },
  {
    name: "without a token the owner alone decides",
    rule: "R9",
    async run(t) {
      for (const mode of ["exclusive", "shared"] as const) {
        const key = t.key();
        const { owner } = await t.first.grant({ key, mode });
        assert.equal(await t.second.release({ key, owner }), true);
        assert.deepEqual(await t.first.inspect(key), []);
      }
    },
  },
  {
    name: "releasing an ended lease is answered no",
    rule: "R9",
    async run(t) {
      const [exclusive, shared] = [t.key(), t.key()];
      const grants = [
        await t.first.grant({ key: exclusive, ttlMs: t.ttlMs }),
        await t.first.grant({ key: shared, mode: "shared", ttlMs: t.ttlMs }),
      ];
      for (const grant of grants) {
        await t.ended(grant.key);
        assert.equal(await t.first.release(grant), false);
        assert.equal(await t.first.release({ key: grant.key, owner: grant.owner }), false);
      }
    },
  },
  {
    name: "a stale owner cannot release after takeover",
    rule: "R9",
    async run(t) {
      const key = t.key();
      const former = await t.first.grant({ key, ttlMs: t.ttlMs });
      await t.ended(key);
      const successor = await t.second.grant({ key });
      assert.equal(await t.first.release(former), false);
      assert.equal(await t.first.release({ key, owner: former.owner }), false);
      assert.equal((await t.second.holder(key)).owner, successor.owner);
    },
  },
  {
    name: "releasing one shared lease leaves the others alone",
    rule: "R9",
    async run(t) {
      const key = t.key();
      const one = await t.first.grant({ key, mode: "shared" });
      const other = await t.first.grant({ key, mode: "shared" });
      assert.equal(await t.first.release(one), true);
      assert.equal((await t.second.holder(key)).owner, other.owner);
      assert.equal(await t.first.release(one), false);
      assert.equal(await t.second.release(other), true);
    },
  },
];
