/** Watches: a hint that waiting may be over, from whichever client ended it. */
import assert from "node:assert/strict";
import type { DriverCapabilities } from "../../driver.js";
import type { ConformanceCase } from "../types.js";

const rule = "watch";
const needs = ({ watch }: DriverCapabilities) => watch;

export const watch: readonly ConformanceCase[] = [
  {
    name: "a release through another client wakes a watcher",
    rule,
    needs,
    async run(t) {
      const key = t.key();
      const holder = await t.first.grant({ key });
      const owner = t.owner();
      await t.second.refusal({ key, owner });
      let woken = 0;
      const stop = await t.second.watch({ key, owner }, () => {
        woken += 1;
      });
      await t.first.release(holder);
      await t.eventually("the watcher is woken", () => woken > 0);
      stop();
      await t.second.grant({ key, owner });
    },
  },
  {
    name: "a release through the same client wakes a watcher",
    rule,
    needs,
    async run(t) {
      const key = t.key();
      const holder = await t.first.grant({ key });
      const owner = t.owner();
      await t.first.refusal({ key, owner });
      let woken = 0;
      const stop = await t.first.watch({ key, owner }, () => {
        woken += 1;
      });
      await t.first.release({ key, owner: holder.owner });
      await t.eventually("the watcher is woken", () => woken > 0);
      stop();
    },
  },
  {
    name: "each release of a shared lease wakes a watcher",
    rule,
    needs,
    async run(t) {
      const key = t.key();
      const one = await t.first.grant({ key, mode: "shared" });
      const other = await t.first.grant({ key, mode: "shared" });
      const owner = t.owner();
      let woken = 0;
      const stop = await t.second.watch({ key, owner }, () => {
        woken += 1;
      });
      for (const grant of [one, other]) {
        await t.second.refusal({ key, owner });
        const before = woken;
        await t.first.release(grant);
        await t.eventually("the watcher is woken", () => woken > before);
      }
      stop();
    },
  },
  {
    name: "every watcher of a key is woken, and a watch goes on after a wake",
    rule,
    needs,
    async run(t) {
      const key = t.key();
      const woken = [0, 0, 0];
      const watchers = [t.first, t.second, t.second].map((client) => ({ client, claim: { key, owner: t.owner() } }));
      const stops = await Promise.all(
        watchers.map(({ client, claim }, index) =>
          client.watch(claim, () => {
            woken[index] = (woken[index] as number) + 1;
          }),
        ),
      );
      for (let round = 0; round < 2; round += 1) {
        const holder = await t.first.grant({ key });
        for (const { client, claim } of watchers) await client.refusal(claim);
        const before = [...woken];
        await t.first.release(holder);
        await t.eventually("all are woken", () => woken.every((count, index) => count > (before[index] as number)));
      }
      for (const stop of stops) stop();
    },
  },
  {
    name: "a watch that was stopped stays silent, and may be stopped twice",
    rule,
    needs,
    async run(t) {
      const key = t.key();
      const holder = await t.first.grant({ key });
      const owner = t.owner();
      await t.second.refusal({ key, owner });
      const woken = { stopped: 0, standing: 0 };
      const stop = await t.second.watch({ key, owner: t.owner() }, () => {
        woken.stopped += 1;
      });
      const end = await t.second.watch({ key, owner }, () => {
        woken.standing += 1;
      });
      stop();
      stop();
      const before = woken.stopped;
      await t.first.release(holder);
      await t.eventually("the standing watch is woken", () => woken.standing > 0);
      assert.equal(woken.stopped, before);
      end();
    },
  },
  {
    name: "watches of keys that look alike are told apart by their keys",
    rule,
    needs,
    async run(t) {
      const base = t.key("/");
      const names = ["a", "a*", "{a}", "A", "a b", "a'", "é"];
      const woken = new Set<string>();
      const grants = new Map<string, { key: string; owner: string; token: bigint }>();
      for (const name of names) {
        grants.set(name, await t.first.grant({ key: base + name }));
        const claim = { key: base + name, owner: t.owner() };
        await t.second.refusal(claim);
        await t.second.watch(claim, () => woken.add(name));
      }
      for (const grant of grants.values()) await t.first.release(grant);
      await t.eventually("all are woken", () => woken.size === names.length);
    },
  },
  {
    name: "a release is told also when the lease was renewed after its refusals, or they asked for another mode",
    rule,
    needs,
    async run(t) {
      for (const mode of ["exclusive", "shared"] as const) {
        for (const renewal of ["extend", "ask again"] as const) {
          const key = t.key();
          const holder = await t.first.grant({ key });
          const owner = t.owner();
          await t.second.refusal({ key, owner, mode });
          let woken = 0;
          const stop = await t.second.watch({ key, owner }, () => {
            woken += 1;
          });
          if (renewal === "extend") assert.ok(await t.first.extend(holder));
          else await t.first.grant({ key, owner: holder.owner });
          const before = woken;
          await t.first.release(holder);
          await t.eventually("the watcher is woken", () => woken > before);
          stop();
        }
      }
    },
  },
  {
    name: "who gives up the first place wakes the next in the queue",
    rule,
    needs: ({ watch, queue }) => watch && queue,
    async run(t) {
      const key = t.key();
      const [one, two] = [t.owner(), t.owner()];
      const holder = await t.first.grant({ key });
      await t.first.refusal({ key, owner: one, queue: true });
      await t.second.refusal({ key, owner: two, queue: true });
      await t.first.release(holder);
      await t.second.refusal({ key, owner: two, queue: true });
      let woken = 0;
      const stop = await t.second.watch({ key, owner: two }, () => {
        woken += 1;
      });
      await t.first.release({ key, owner: one });
      await t.eventually("the next is woken", () => woken > 0);
      stop();
      await t.second.grant({ key, owner: two, queue: true });
    },
  },
  {
    name: "a shared claim that leaves the queue wakes the shared one behind it",
    rule,
    needs: ({ watch, queue }) => watch && queue,
    async run(t) {
      const key = t.key();
      const [one, two] = [t.owner(), t.owner()];
      const holder = await t.first.grant({ key });
      await t.first.refusal({ key, owner: one, mode: "shared", queue: true });
      await t.second.refusal({ key, owner: two, mode: "shared", queue: true });
      await t.first.release(holder);
      let woken = 0;
      const stop = await t.second.watch({ key, owner: two }, () => {
        woken += 1;
      });
      const before = woken;
      await t.first.grant({ key, owner: one, mode: "shared", queue: true });
      await t.eventually("the next is woken", () => woken > before);
      stop();
      await t.second.grant({ key, owner: two, mode: "shared", queue: true });
    },
  },
];
