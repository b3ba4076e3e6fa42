/** Two servers of different make: a list of leases, and the memory backend's store with its queue. */

import { createMemoryStore } from "../../../memory/src/index.ts";
import type { Clock } from "../../src/index.ts";
import { LockTable } from "../support/lock-table.ts";
import type { Table } from "./network.ts";
import type { World } from "./world.ts";

export function plainTable(world: World): Table {
  return Object.assign(new LockTable(trueClock(world)), { queue: false });
}

export function queueTable(world: World): Table {
  const store = createMemoryStore({ clock: trueClock(world) });
  return {
    queue: true,
    acquire: (claim) => store.acquire(claim, world.now),
    extend: (claim) => store.extend(claim, world.now),
    release: (claim) => store.release(claim, world.now),
    holders: (key) => store.inspect(key, world.now),
    watch: (key, wake) => store.watches.add(key, wake),
  };
}

function trueClock(world: World): Clock {
  return {
    now: () => world.now,
    date: () => new Date(0),
    setTimer(run, ms) {
      const happening = world.after(ms, run);
      return {
        cancel() {
          happening.cancelled = true;
        },
        keepAlive() {},
      };
    },
  };
}
