/** R13: who asks with `queue` is served in the order of the first asking; who does not waits behind. */
import assert from "node:assert/strict";
import type { DriverCapabilities } from "../../driver.js";
import { longMs } from "../context.js";
import type { ConformanceCase } from "../types.js";

const rule = "R13";
const needs = ({ queue }: DriverCapabilities) => queue;

export const queue: readonly ConformanceCase[] = [
  {
    name: "a free key is granted to the first in the queue only",
    rule,
    needs,
    async run(t) {
      const key = t.key();
      const [one, two] = [t.owner(), t.owner()];
      const holder = await t.first.grant({ key });
      await t.second.refusal({ key, owner: one, queue: true });
      await t.first.refusal({ key, owner: two, queue: true });
      await t.first.release(holder);
      await t.first.refusal({ key, owner: two, queue: true });
      const head = await t.second.grant({ key, owner: one, queue: true });
      await t.first.refusal({ key, owner: two, queue: true });
      await t.second.release(head);
      await t.first.grant({ key, owner: two, queue: true });
    },
  },
  {
    name: "a claim without queue waits behind the queue and keeps no place",
    rule,
    needs,
    async run(t) {
      const key = t.key();
      const [queued, plain] = [t.owner(), t.owner()];
      const holder = await t.first.grant({ key });
      await t.first.refusal({ key, owner: plain });
      await t.second.refusal({ key, owner: queued, queue: true });
      await t.first.release(holder);
      await t.first.refusal({ key, owner: plain });
      await t.second.grant({ key, owner: queued, queue: true });
    },
  },
  {
    name: "a refused claim without queue is in nobody's way",
    rule,
    needs,
    async run(t) {
      const key = t.key();
      const holder = await t.first.grant({ key });
      await t.second.refusal({ key });
      await t.first.release(holder);
      await t.first.grant({ key, queue: true });
    },
  },
  {
    name: "a place is not a lease",
    rule,
    needs,
    async run(t) {
      const key = t.key();
      const holder = await t.first.grant({ key });
      const owner = t.owner();
      await t.second.refusal({ key, owner, queue: true });
      assert.deepEqual([(await t.first.holder(key)).owner, (await t.first.list(key)).length], [holder.owner, 1]);
      await t.first.release(holder);
      // Nobody holds what nobody asked for again.
      assert.deepEqual(await t.first.inspect(key), []);
      assert.equal(await t.second.extend({ key, owner, token: holder.token + 1n }), false);
      assert.deepEqual(await t.first.inspect(key), []);
    },
  },
  {
    name: "who gives up a place lets the next one in",
    rule,
    needs,
    async run(t) {
      const key = t.key();
      const [one, two] = [t.owner(), t.owner()];
      const holder = await t.first.grant({ key });
      await t.first.refusal({ key, owner: one, queue: true });
      await t.second.refusal({ key, owner: two, queue: true });
      // It ended no lease: the answer is no, and the holder stays.
      assert.equal(await t.first.release({ key, owner: one }), false);
      assert.equal((await t.second.holder(key)).owner, holder.owner);
      await t.first.release(holder);
      await t.second.grant({ key, owner: two, queue: true });
    },
  },
  {
    name: "who gave up a place asks again at the end of the queue",
    rule,
    needs,
    async run(t) {
      const key = t.key();
      const [one, two] = [t.owner(), t.owner()];
      const holder = await t.first.grant({ key });
      await t.first.refusal({ key, owner: one, queue: true });
      await t.second.refusal({ key, owner: two, queue: true });
      await t.first.release({ key, owner: one });
      await t.first.refusal({ key, owner: one, queue: true });
      await t.first.release(holder);
      await t.first.refusal({ key, owner: one, queue: true });
      await t.second.grant({ key, owner: two, queue: true });
    },
  },
  {
    name: "a place ends with its TTL",
    rule,
    needs,
    async run(t) {
      const key = t.key();
      const holder = await t.first.grant({ key });
      await t.first.refusal({ key, queue: true, ttlMs: t.ttlMs });
      const next = t.owner();
      await t.second.refusal({ key, owner: next, queue: true });
      await t.first.release(holder);
      await t.eventually(
        "the next is let in",
        async () => (await t.second.acquire({ key, owner: next, queue: true })).acquired,
        t.given(t.ttlMs),
      );
    },
  },
  {
    name: "asking again keeps the place, and renews it",
    rule,
    needs,
    async run(t) {
      const [key, witness] = [t.key(), t.key()];
      const [one, two] = [t.owner(), t.owner()];
      const holder = await t.first.grant({ key });
      await t.first.refusal({ key, owner: one, queue: true, ttlMs: t.roomyTtlMs });
      await t.second.refusal({ key, owner: two, queue: true });
      await t.first.refusal({ key, owner: one, queue: true, ttlMs: longMs });
      // A lease taken now outlives the place as it was first asked for.
      await t.first.grant({ key: witness, ttlMs: t.roomyTtlMs });
      await t.ended(witness);
      await t.first.release(holder);
      await t.second.refusal({ key, owner: two, queue: true });
      await t.first.grant({ key, owner: one, queue: true });
    },
  },
  {
    name: "an exclusive claim in the queue is not passed by shared ones",
    rule,
    needs,
    async run(t) {
      const key = t.key();
      const [writer, late] = [t.owner(), t.owner()];
      const reader = await t.first.grant({ key, mode: "shared" });
      await t.second.refusal({ key, owner: writer, queue: true });
      await t.first.refusal({ key, mode: "shared" });
      await t.first.refusal({ key, owner: late, mode: "shared", queue: true });
      await t.first.release(reader);
      await t.first.refusal({ key, owner: late, mode: "shared", queue: true });
      const written = await t.second.grant({ key, owner: writer, queue: true });
      await t.second.release(written);
      await t.first.grant({ key, owner: late, mode: "shared", queue: true });
    },
  },
  {
    name: "shared claims at the head of the queue come in one after the other",
    rule,
    needs,
    async run(t) {
      const key = t.key();
      const owners = [t.owner(), t.owner(), t.owner()];
      const holder = await t.first.grant({ key });
      for (const owner of owners) await t.second.refusal({ key, owner, mode: "shared", queue: true });
      await t.first.release(holder);
      for (const owner of owners) await t.second.grant({ key, owner, mode: "shared", queue: true });
      assert.equal((await t.first.inspect(key)).length, 3);
    },
  },
  {
    name: "a queue holds for slots as well",
    rule,
    needs,
    async run(t) {
      const key = t.key();
      const slot = { key, mode: "shared", limit: 2, queue: true } as const;
      const [one, two] = [t.owner(), t.owner()];
      const first = await t.first.grant(slot);
      await t.second.grant(slot);
      await t.first.refusal({ ...slot, owner: one });
      await t.second.refusal({ ...slot, owner: two });
      await t.first.release(first);
      await t.second.refusal({ ...slot, owner: two });
      await t.first.grant({ ...slot, owner: one });
      await t.second.refusal({ ...slot, owner: two });
    },
  },
  {
    name: "a holder who asks again needs no place",
    rule,
    needs,
    async run(t) {
      const key = t.key();
      const holder = await t.first.grant({ key, queue: true });
      await t.second.refusal({ key, queue: true });
      assert.equal((await t.first.grant({ key, owner: holder.owner, queue: true })).token, holder.token);
    },
  },
  {
    name: "tokens grow along the queue",
    rule: "R6",
    needs,
    async run(t) {
      const key = t.key();
      const owners = [t.owner(), t.owner(), t.owner()];
      let before = await t.first.grant({ key });
      for (const owner of owners) await t.second.refusal({ key, owner, queue: true });
      for (const owner of owners) {
        await t.first.release(before);
        const after = await t.second.grant({ key, owner, queue: true });
        assert.ok(after.token > before.token, `token ${after.token} follows ${before.token}`);
        before = after;
      }
    },
  },
];
