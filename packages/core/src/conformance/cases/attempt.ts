/** R1 and R2: a call is one attempt, and its answer is yes, no or unknown. */
import assert from "node:assert/strict";
import type { ConformanceCase } from "../types.js";

export const attempt: readonly ConformanceCase[] = [
  {
    name: "a claim on a held key is answered while the key is still held",
    rule: "R1",
    async run(t) {
      const key = t.key();
      const holder = await t.first.grant({ key });
      await t.second.refusal({ key });
      assert.equal((await t.first.holder(key)).owner, holder.owner);
    },
  },
  {
    name: "contention is an answer, not an error",
    rule: "R2",
    async run(t) {
      const key = t.key();
      await t.first.grant({ key });
      const { acquired } = await t.second.acquire({ key });
      assert.equal(acquired, false);
    },
  },
  {
    name: "extending a lease that is not there is answered no",
    rule: "R2",
    async run(t) {
      assert.equal(await t.first.extend({ key: t.key(), owner: t.owner(), token: 1n }), false);
    },
  },
  {
    name: "releasing a lease that is not there is answered no",
    rule: "R2",
    async run(t) {
      assert.equal(await t.first.release({ key: t.key(), owner: t.owner(), token: 1n }), false);
      assert.equal(await t.first.release({ key: t.key(), owner: t.owner() }), false);
    },
  },
];
