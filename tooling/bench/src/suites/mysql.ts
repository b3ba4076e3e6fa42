/** Locks in MariaDB, against a row put and deleted by hand, GET_LOCK and Verrou. */

import { setTimeout as sleep } from "node:timers/promises";
import { createLockProvider } from "@dlock/core";
import { mysqlDriver } from "@dlock/mysql";
import { startMysql } from "@dlock-tooling/services";
import mysql from "mysql2/promise";
import type { Contest, Contestant, Size } from "../contest.js";
import { contestant, dlock } from "../locker.js";
import { dlockOnMysql, getLock, mysqlPeers, rowByHand, verrou } from "../lockers/mysql.js";
import { mysqlMeter } from "../meters.js";
import { crowd, handOver } from "../processes.js";
import { renewal } from "../renewal.js";
import { type Meter, metered } from "../work.js";

export async function* mysqlContests({ forMs, held }: Size): AsyncIterable<Contest> {
  const server = await startMysql();
  const { url } = server;
  const admin = await mysql.createConnection(url);
  const meter = mysqlMeter(admin);
  try {
    for (const [tasks, ratio] of [
      [1, 0.75],
      [64, 2.5],
      [256, 3],
    ] as const) {
      const keyOf = (unit: number) => `key ${unit}`;
      yield {
        title: `mysql, distinct keys, ${tasks} at once`,
        unit: "cycles/s",
        better: "more",
        at: tasks,
        contestants: async () =>
          Promise.all([rowByHand, dlockOnMysql, ...mysqlPeers].map((recipe) => contestant(recipe, url, { tasks, forMs, keyOf, meter }))),
        targets: [{ name: dlock, atLeast: ratio }],
      };
    }
    yield {
      title: "mysql, one key, 16 waiters in one process",
      unit: "sections/s",
      better: "more",
      contestants: async () =>
        [
          await contestant(rowByHand, url, { tasks: 1, forMs, keyOf: (unit) => `alone ${unit}`, meter }),
          await contestant(dlockOnMysql, url, { tasks: 16, forMs, meter }),
          ...(await Promise.all(mysqlPeers.map((peer) => contestant(peer, url, { tasks: 16, forMs, meter })))),
        ].map((each, index) => (index === 0 ? { ...each, name: `${each.name}, distinct keys, 1 at once` } : each)),
      targets: [{ name: dlock, atLeast: 10 }],
    };
    yield {
      title: "mysql, hand-over between two processes, p50",
      unit: "ms",
      better: "less",
      contestants: async () => Promise.all([...mysqlPeers, dlockOnMysql].map((recipe) => handOver("mysql", recipe, url, 2 * forMs, meter))),
      targets: [{ name: dlock, as: "value", atMost: 15 }],
      absent: byHand,
    };
    yield {
      title: "mysql, one key, 4 processes × 16 waiters",
      unit: "sections/s",
      better: "more",
      against: { bestBut: dlock },
      contestants: () =>
        Promise.all(
          [dlockOnMysql, getLock].map((recipe) => crowd("mysql", recipe, url, { count: 4, waiters: 16, forMs: 2 * forMs, meter })),
        ),
      absent: { ...byHand, [verrou.name]: "its statements deadlock with each other, and it throws that at the caller" },
    };
    yield {
      title: `mysql, ${held.toLocaleString("en-US")} held locks renewed once`,
      unit: "ms of client CPU",
      better: "less",
      contestants: async () => [await renewal(mysqlDriver({ url }), held, "ttlMs 6000", meter)],
      targets: [{ name: dlock, of: "statements", as: "value", atMost: 20 }],
    };
    for (const keys of [1, 1_000]) {
      yield {
        title: `mysql, 1,000 waiters for ${keys === 1 ? "one key" : "1,000 keys"} held elsewhere`,
        unit: "statements/s",
        better: "less",
        contestants: async () => [await waiters(url, 1_000, keys, Math.max(5 * forMs, 1_000), meter)],
        targets: [{ name: dlock, as: "value", atMost: 200 }],
      };
    }
  } finally {
    await admin.end();
    await server.stop();
  }
}

const byHand = { [rowByHand.name]: "does not wait" };

/** How many statements it takes that so many tasks wait for keys that another provider holds. */
async function waiters(url: string, count: number, keyCount: number, forMs: number, meter: Meter): Promise<Contestant> {
  const holder = createLockProvider(mysqlDriver({ url }), { ttlMs: 600_000 });
  const waiting = createLockProvider(mysqlDriver({ url }), { waitMs: 1_000_000 });
  const keys = Array.from({ length: keyCount }, (_, index) => `waited for ${index}`);
  const held = await Promise.all(keys.map((key) => holder.lock(key)));
  const wanted = Array.from({ length: count }, (_, index) => keys[index % keyCount] as string);
  // They all end with their provider.
  const waits = wanted.map((key) => waiting.lock(key).catch(() => undefined));
  // The first attempts, and the watches they lead to, are no waiting yet.
  await sleep(2_000);
  return {
    name: dlock,
    settings: "one provider holds all, another one waits",
    async round() {
      const { done: seconds, counts } = await metered(meter, async () => {
        const start = performance.now();
        await sleep(forMs);
        return (performance.now() - start) / 1_000;
      });
      const { statements = Number.NaN, bytes = Number.NaN } = counts;
      return { figure: statements / seconds, besides: { "bytes a second": bytes / seconds } };
    },
    async close() {
      await waiting.close();
      await Promise.all([...waits, ...held.map((lock) => lock.unlock())]);
      await holder.close();
    },
  };
}
