/** R12: looking changes nothing. */
import assert from "node:assert/strict";
import type { Client } from "../client.js";
import type { Context } from "../context.js";
import type { ConformanceCase } from "../types.js";

/** Looks again and again at a held key and a free one, and compares what is there before and after. */
async function changesNothing(t: Context, look: (client: Client, key: string) => Promise<unknown>): Promise<void> {
  const [held, free] = [t.key(), t.key()];
  const grant = await t.first.grant({ key: held, ttlMs: 4 * t.ttlMs });
  const sentAt = t.clock.now();
  const { remainingMs } = await t.second.holder(held);
  await t.elapse(t.ttlMs / 2);
  for (const key of [held, free]) {
    await look(t.second, key);
    await look(t.first, key);
  }
  const passedMs = t.clock.now() - sentAt;
  const [after] = await t.second.inspect(held);
  // On a machine that stood still the lease may have ended; a live one is the same, and nearer to its end.
  if (after === undefined) assert.ok(passedMs >= 3 * t.ttlMs, "the lease is gone");
  else {
    assert.deepEqual([after.owner, after.token], [grant.owner, grant.token]);
    // Some servers count whole steps.
    assert.ok(
      after.remainingMs <= remainingMs + Math.min(t.capabilities.ttlStepMs - 1, t.ttlMs),
      `${remainingMs} ms remained, now ${after.remainingMs}`,
    );
    assert.ok(
      after.remainingMs < remainingMs - t.ttlMs / 4 || t.capabilities.ttlStepMs > t.ttlMs / 4,
      `${remainingMs} ms remained, now ${after.remainingMs}`,
    );
  }
  assert.deepEqual(await t.second.inspect(free), []);
  await t.second.grant({ key: free });
  await t.ended(held);
}

export const readOnly: readonly ConformanceCase[] = [
  {
    name: "inspecting changes nothing",
    rule: "R12",
    run: (t) => changesNothing(t, (client, key) => client.inspect(key)),
  },
  {
    name: "listing changes nothing",
    rule: "R12",
    run: (t) => changesNothing(t, (client, key) => client.list(key)),
  },
  {
    name: "a ping of a server that takes writes succeeds and changes nothing",
    rule: "R12",
    run: (t) => changesNothing(t, (client) => client.ping()),
  },
];
