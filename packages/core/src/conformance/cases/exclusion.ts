/** R3: who may hold a key together with whom. */
import assert from "node:assert/strict";
import type { ConformanceCase } from "../types.js";

export const exclusion: readonly ConformanceCase[] = [
  {
    name: "an exclusive lease keeps out exclusive claims of every client",
    rule: "R3",
    async run(t) {
      const key = t.key();
      await t.first.grant({ key });
      await t.first.refusal({ key });
      await t.second.refusal({ key });
    },
  },
  {
    name: "an exclusive lease keeps out shared claims",
    rule: "R3",
    async run(t) {
      const key = t.key();
      await t.first.grant({ key });
      await t.second.refusal({ key, mode: "shared" });
      await t.second.refusal({ key, mode: "shared", limit: 2 });
    },
  },
  {
    name: "a shared lease keeps out exclusive claims",
    rule: "R3",
    async run(t) {
      const key = t.key();
      await t.first.grant({ key, mode: "shared" });
      await t.second.refusal({ key });
    },
  },
  {
    name: "shared leases share",
    rule: "R3",
    async run(t) {
      const key = t.key();
      for (const client of [t.first, t.second, t.first, t.second, t.first]) await client.grant({ key, mode: "shared" });
      assert.equal((await t.second.inspect(key)).length, 5);
    },
  },
  {
    name: "a limit admits so many and no more",
    rule: "R3",
    async run(t) {
      const key = t.key();
      for (const client of [t.first, t.second, t.first]) await client.grant({ key, mode: "shared", limit: 3 });
      await t.first.refusal({ key, mode: "shared", limit: 3 });
      await t.second.refusal({ key, mode: "shared", limit: 3 });
      assert.equal((await t.first.inspect(key)).length, 3);
    },
  },
  {
    name: "a limit of one admits one",
    rule: "R3",
    async run(t) {
      const key = t.key();
      await t.first.grant({ key, mode: "shared", limit: 1 });
      await t.second.refusal({ key, mode: "shared", limit: 1 });
    },
  },
  {
    name: "each claim is judged by its own limit",
    rule: "R3",
    async run(t) {
      const key = t.key();
      await t.first.grant({ key, mode: "shared", limit: 2 });
      await t.first.grant({ key, mode: "shared", limit: 2 });
      await t.second.refusal({ key, mode: "shared", limit: 1 });
      await t.second.refusal({ key, mode: "shared", limit: 2 });
      await t.second.grant({ key, mode: "shared", limit: 3 });
      await t.second.grant({ key, mode: "shared" });
      await t.second.refusal({ key, mode: "shared", limit: 4 });
    },
  },
  {
    name: "a released slot is free again",
    rule: "R3",
    async run(t) {
      const key = t.key();
      const one = await t.first.grant({ key, mode: "shared", limit: 2 });
      await t.first.grant({ key, mode: "shared", limit: 2 });
      await t.second.refusal({ key, mode: "shared", limit: 2 });
      await t.first.release(one);
      await t.second.grant({ key, mode: "shared", limit: 2 });
      await t.second.refusal({ key, mode: "shared", limit: 2 });
    },
  },
  {
    name: "the slot of an ended lease is free again",
    rule: "R3",
    async run(t) {
      const key = t.key();
      await t.first.grant({ key, mode: "shared", limit: 2 });
      await t.first.grant({ key, mode: "shared", limit: 2, ttlMs: t.ttlMs });
      await t.eventually("the slot is free", async () => (await t.second.inspect(key)).length === 1, t.ttlMs);
      await t.second.grant({ key, mode: "shared", limit: 2 });
      await t.second.refusal({ key, mode: "shared", limit: 2 });
    },
  },
  {
    name: "an exclusive claim is granted when the last shared lease is released",
    rule: "R3",
    async run(t) {
      const key = t.key();
      const one = await t.first.grant({ key, mode: "shared" });
      const other = await t.second.grant({ key, mode: "shared" });
      await t.first.release(one);
      await t.first.refusal({ key });
      await t.second.release(other);
      await t.first.grant({ key });
    },
  },
  {
    name: "a released key is free for either mode",
    rule: "R3",
    async run(t) {
      const key = t.key();
      await t.first.release(await t.first.grant({ key }));
      await t.second.release(await t.second.grant({ key, mode: "shared", limit: 1 }));
      await t.first.release(await t.first.grant({ key, mode: "shared" }));
      await t.second.grant({ key });
    },
  },
  {
    name: "a refused claim leaves nothing behind",
    rule: "R3",
    async run(t) {
      const key = t.key();
      const holder = await t.first.grant({ key });
      await t.second.refusal({ key });
      await t.second.refusal({ key, mode: "shared" });
      assert.equal((await t.first.holder(key)).owner, holder.owner);
      await t.first.release(holder);
      assert.deepEqual(await t.first.inspect(key), []);
      await t.first.grant({ key });
    },
  },
];
