/** R12: looking changes nothing. */
import assert from "node:assert/strict";
import type { Client } from "../client.js";
import type { Context } from "../context.js";
import { longMs } from "../context.js";
import type { ConformanceCase } from "../types.js";

/** Looks at a held key and a free one through both clients, and compares what is there before and after. */
async function changesNothing(t: Context, look: (client: Client, key: string) => Promise<unknown>): Promise<void> {
  const [held, free] = [t.key(), t.key()];
  const grant = await t.first.grant({ key: held, ttlMs: longMs });
  const before = await t.second.holder(held);
  const seenAt = t.clock.now();
  const { ttlStepMs } = t.capabilities;
  // Long enough that a lease that is renewed by looking shows, also where a server counts whole steps.
  await t.elapse(Math.max(100, 2 * ttlStepMs));
  const passedMs = t.clock.now() - seenAt;
  for (const key of [held, free]) {
    await look(t.second, key);
    await look(t.first, key);
  }
  const after = await t.second.holder(held);
  assert.deepEqual([after.owner, after.token], [grant.owner, grant.token]);
  assert.ok(
    after.remainingMs <= before.remainingMs - passedMs + ttlStepMs + t.driftMs(passedMs),
    `${before.remainingMs} ms remained, ${after.remainingMs} ms remain ${passedMs} ms later`,
  );
  assert.deepEqual(await t.second.inspect(free), []);
  await t.second.grant({ key: free });
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
