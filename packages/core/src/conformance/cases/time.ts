/** R5: a lease lives as long as was said, counted from before the claim was sent. */
import assert from "node:assert/strict";
import { longMs } from "../context.js";
import type { ConformanceCase } from "../types.js";

export const time: readonly ConformanceCase[] = [
  {
    name: "the TTL given is the one asked for, rounded up to what the server can keep",
    rule: "R5",
    async run(t) {
      const { minTtlMs, ttlStepMs } = t.capabilities;
      for (const asked of [1, minTtlMs, minTtlMs + 1, longMs + 1, longMs + ttlStepMs - 1]) {
        const { ttlMs } = await t.first.grant({ key: t.key(), ttlMs: asked });
        assert.ok(ttlMs >= asked && ttlMs >= minTtlMs, `asked for ${asked} ms, given ${ttlMs} ms`);
        assert.equal(ttlMs % ttlStepMs, 0, `${ttlMs} ms is not a multiple of ${ttlStepMs} ms`);
        assert.ok(ttlMs < 2 * t.given(asked) + 10_000, `asked for ${asked} ms, given ${ttlMs} ms`);
      }
    },
  },
  {
    name: "a lease lives as long as was said",
    rule: "R5",
    async run(t) {
      const key = t.key();
      const sentAt = t.clock.now();
      const { ttlMs } = await t.first.grant({ key, ttlMs: t.ttlMs });
      await t.eventually("the key is free", async () => (await t.second.acquire({ key })).acquired, ttlMs);
      const livedMs = t.clock.now() - sentAt;
      assert.ok(livedMs >= ttlMs - t.driftMs(ttlMs), `given ${ttlMs} ms, taken over after ${livedMs} ms`);
    },
  },
  {
    name: "a shared lease lives as long as was said",
    rule: "R5",
    async run(t) {
      const key = t.key();
      const sentAt = t.clock.now();
      const { ttlMs } = await t.first.grant({ key, mode: "shared", limit: 1, ttlMs: t.ttlMs });
      await t.eventually("the key is free", async () => (await t.second.acquire({ key, mode: "shared", limit: 1 })).acquired, ttlMs);
      const livedMs = t.clock.now() - sentAt;
      assert.ok(livedMs >= ttlMs - t.driftMs(ttlMs), `given ${ttlMs} ms, taken over after ${livedMs} ms`);
    },
  },
  {
    name: "an extended lease lives as long as was said",
    rule: "R5",
    async run(t) {
      const key = t.key();
      const grantedAt = t.clock.now();
      const grant = await t.first.grant({ key, ttlMs: t.ttlMs });
      // Part of the first TTL passes: the extension must count from now.
      await t.elapse(t.ttlMs / 2);
      const sentAt = t.clock.now();
      const extended = await t.first.extend(grant, t.ttlMs);
      // Only a machine that stood still for the other half of the TTL may make the extension come too late.
      if (!extended) return assert.ok(t.clock.now() - grantedAt >= t.ttlMs, "a live lease is not extended");
      await t.eventually("the key is free", async () => (await t.second.acquire({ key })).acquired, t.given(t.ttlMs));
      const livedMs = t.clock.now() - sentAt;
      assert.ok(livedMs >= t.ttlMs - t.driftMs(t.ttlMs), `extended by ${t.ttlMs} ms, taken over after ${livedMs} ms`);
    },
  },
  {
    name: "a lease asked for again lives as long as was said",
    rule: "R5",
    async run(t) {
      const key = t.key();
      const { owner } = await t.first.grant({ key, ttlMs: t.ttlMs });
      await t.elapse(t.ttlMs / 2);
      const sentAt = t.clock.now();
      const { ttlMs } = await t.first.grant({ key, owner, ttlMs: t.ttlMs });
      await t.eventually("the key is free", async () => (await t.second.acquire({ key })).acquired, 2 * ttlMs);
      const livedMs = t.clock.now() - sentAt;
      assert.ok(livedMs >= ttlMs - t.driftMs(ttlMs), `given ${ttlMs} ms, taken over after ${livedMs} ms`);
    },
  },
  {
    name: "an ended lease is in nobody's way",
    rule: "R5",
    async run(t) {
      const [exclusive, shared] = [t.key(), t.key()];
      await t.first.grant({ key: exclusive, ttlMs: t.ttlMs });
      await t.first.grant({ key: shared, mode: "shared", ttlMs: t.ttlMs });
      await t.ended(exclusive);
      await t.ended(shared);
      await t.second.grant({ key: exclusive, mode: "shared" });
      await t.second.grant({ key: shared });
    },
  },
  {
    name: "what remains is what was given, less the time that passed",
    rule: "R5",
    async run(t) {
      for (const asked of [longMs, 60 * longMs]) {
        const key = t.key();
        const sentAt = t.clock.now();
        const { ttlMs } = await t.first.grant({ key, ttlMs: asked });
        const { remainingMs } = await t.second.holder(key);
        const elapsedMs = t.clock.now() - sentAt;
        const shown = `given ${ttlMs} ms, ${remainingMs} ms remain after ${elapsedMs} ms`;
        assert.ok(remainingMs >= ttlMs - elapsedMs - t.driftMs(ttlMs) - t.capabilities.ttlStepMs, shown);
        // A server may keep a lease longer than it said, within reason.
        assert.ok(remainingMs <= 1.5 * ttlMs, shown);
      }
    },
  },
  {
    name: "a TTL of 60 days is kept",
    rule: "R5",
    async run(t) {
      const key = t.key();
      const days = 24 * 60 * 60_000;
      // More milliseconds than 32 bits hold.
      await t.first.grant({ key, ttlMs: 60 * days });
      const { remainingMs } = await t.second.holder(key);
      assert.ok(remainingMs > 59 * days, `${remainingMs} ms remain`);
      await t.second.refusal({ key });
    },
  },
];
