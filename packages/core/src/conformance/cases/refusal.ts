/** What a refusal says about the lease in the way: optional, but never wrong. */
import assert from "node:assert/strict";
import type { Refusal } from "../client.js";
import { longMs } from "../context.js";
import type { ConformanceCase } from "../types.js";

function isPlausible({ retryAfterMs, holder }: Refusal, ttlMs: number): void {
  if (retryAfterMs !== undefined) assert.ok(retryAfterMs >= 0 && retryAfterMs <= 1.5 * ttlMs, `try again after ${retryAfterMs} ms`);
  if (holder === undefined) return;
  assert.ok(holder.remainingMs > 0 && holder.remainingMs <= 1.5 * ttlMs, `${holder.remainingMs} ms remain`);
  assert.ok(holder.heldMs >= 0 && holder.heldMs < longMs / 2, `held for ${holder.heldMs} ms`);
}

export const refusal: readonly ConformanceCase[] = [
  {
    name: "a refusal names the holder, and when it ends, or says nothing",
    rule: "refusal",
    async run(t) {
      const key = t.key();
      const grant = await t.first.grant({ key, metadata: "why" });
      for (const mode of ["exclusive", "shared"] as const) {
        const refused = await t.second.refusal({ key, mode });
        isPlausible(refused, grant.ttlMs);
        const { holder } = refused;
        if (holder === undefined) continue;
        assert.deepEqual([holder.owner, holder.token, holder.mode], [grant.owner, grant.token, "exclusive"]);
        if (holder.metadata !== undefined) assert.equal(holder.metadata, "why");
      }
    },
  },
  {
    name: "a refusal behind shared leases names one of them, or says nothing",
    rule: "refusal",
    async run(t) {
      const key = t.key();
      const grants = [await t.first.grant({ key, mode: "shared" }), await t.second.grant({ key, mode: "shared" })];
      for (const wish of [{ key }, { key, mode: "shared", limit: 2 } as const]) {
        const refused = await t.second.refusal(wish);
        isPlausible(refused, longMs);
        const { holder } = refused;
        if (holder !== undefined) assert.ok(grants.some(({ owner, token }) => owner === holder.owner && token === holder.token));
      }
    },
  },
  {
    name: "who waits as long as a refusal says is let in soon after",
    rule: "refusal",
    async run(t) {
      const key = t.key();
      await t.first.grant({ key, ttlMs: t.ttlMs });
      const refused = await t.second.acquire({ key });
      // Granted at once only when this machine stood still for the whole TTL.
      const waitMs = refused.acquired ? 0 : (refused.retryAfterMs ?? 0);
      assert.ok(waitMs <= 1.5 * t.given(t.ttlMs), `try again after ${waitMs} ms`);
      await t.elapse(waitMs);
      if (!refused.acquired)
        await t.eventually("the key is granted", async () => (await t.second.acquire({ key })).acquired, t.given(t.ttlMs));
    },
  },
];
