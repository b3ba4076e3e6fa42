/** R3 under races: the decision is made once, by the server. */
import assert from "node:assert/strict";
import type { AcquireResult } from "../../driver.js";
import type { Wish } from "../client.js";
import type { Context } from "../context.js";
import type { ConformanceCase } from "../types.js";

/** Sends 40 claims at once, each in a call of its own, in turns through two clients. */
function race(t: Context, wish: (index: number) => Wish): Promise<AcquireResult[]> {
  return Promise.all(Array.from({ length: 40 }, (_, index) => (index % 2 === 0 ? t.first : t.second).acquire(wish(index))));
}

const winners = (results: readonly AcquireResult[]) => results.filter(({ acquired }) => acquired).length;

export const races: readonly ConformanceCase[] = [
  {
    name: "one of 40 racing exclusive claims wins",
    rule: "R3",
    async run(t) {
      const key = t.key();
      assert.equal(winners(await race(t, () => ({ key }))), 1);
      assert.equal((await t.first.inspect(key)).length, 1);
    },
  },
  {
    name: "as many of 40 racing claims win as the limit says",
    rule: "R3",
    async run(t) {
      const key = t.key();
      assert.equal(winners(await race(t, () => ({ key, mode: "shared", limit: 5 }))), 5);
      assert.equal((await t.first.inspect(key)).length, 5);
    },
  },
  {
    name: "racing exclusive and shared claims never hold together",
    rule: "R3",
    async run(t) {
      for (let round = 0; round < 5; round += 1) {
        const key = t.key();
        const results = await race(t, (index) => ({ key, mode: index % 4 < 2 ? "exclusive" : "shared" }));
        const exclusive = results.filter(({ acquired }, index) => acquired && index % 4 < 2).length;
        const shared = winners(results) - exclusive;
        assert.ok(exclusive + shared > 0, "nobody wins");
        assert.ok(exclusive === 0 || (exclusive === 1 && shared === 0), `${exclusive} exclusive and ${shared} shared claims win together`);
      }
    },
  },
  {
    name: "overlapping batches of two clients give each key one holder",
    rule: "R3",
    async run(t) {
      const keys = t.keys(Math.min(24, t.capabilities.maxBatch));
      const third = Math.floor(keys.length / 3);
      // The second client asks for two thirds of the keys, the other way round.
      const mine = keys.slice(0, keys.length - third);
      const theirs = keys.slice(third).reverse();
      const [first, second] = await Promise.all([
        t.first.acquireAll(mine.map((key) => ({ key }))),
        t.second.acquireAll(theirs.map((key) => ({ key }))),
      ]);
      for (const key of keys) {
        const answers = [first[mine.indexOf(key)], second[theirs.indexOf(key)]];
        assert.equal(answers.filter((answer) => answer?.acquired).length, 1, `${key} is not granted exactly once`);
        assert.equal((await t.first.inspect(key)).length, 1);
      }
    },
  },
];
