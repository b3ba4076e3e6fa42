/** Locks in etcd, against two transactions by hand and etcd3's own Lock. */
import { setTimeout as sleep } from "node:timers/promises";
import { etcdDriver } from "@dlock/etcd";
import { startEtcd } from "@dlock-tooling/services";
import etcd3 from "etcd3";
import { type Contest, type Contestant, quantile, type Size } from "../contest.js";
import { contestant, dlock, nothing } from "../locker.js";
import { dlockOnEtcd, etcdPeers, txnsByHand } from "../lockers/etcd.js";
import { etcdMeter } from "../meters.js";
import { crowd, handOver } from "../processes.js";
import { renewal } from "../renewal.js";

export async function* etcdContests({ forMs, held }: Size): AsyncIterable<Contest> {
  const server = await startEtcd();
  const { url } = server;
  const meter = etcdMeter(url);
  try {
    for (const [tasks, ratio] of [
      [1, 0.9],
      [16, 3],
      [256, 10],
    ] as const) {
      const keyOf = (unit: number) => `key ${unit}`;
      yield {
        title: `etcd, distinct keys, ${tasks} at once`,
        unit: "cycles/s",
        better: "more",
        at: tasks,
        contestants: async () =>
          Promise.all([txnsByHand, dlockOnEtcd, ...etcdPeers].map((recipe) => contestant(recipe, url, { tasks, forMs, keyOf, meter }))),
        targets: [{ name: dlock, atLeast: ratio }],
      };
    }
    yield {
      title: "etcd, one key, 16 waiters in one process",
      unit: "sections/s",
      better: "more",
      contestants: async () =>
        [
          await contestant(txnsByHand, url, { tasks: 1, forMs, keyOf: (unit) => `alone ${unit}`, meter }),
          await contestant(dlockOnEtcd, url, { tasks: 16, forMs, meter }),
          ...(await Promise.all(etcdPeers.map((peer) => contestant(peer, url, { tasks: 16, forMs, meter })))),
        ].map((each, index) => (index === 0 ? { ...each, name: `${each.name}, distinct keys, 1 at once` } : each)),
      targets: [{ name: dlock, atLeast: 20 }],
    };
    yield {
      title: "etcd, hand-over between two processes, p50",
      unit: "ms",
      better: "less",
      contestants: async () => [
        roundTrip(url, forMs),
        ...(await Promise.all([dlockOnEtcd, ...etcdPeers].map((recipe) => handOver("etcd", recipe, url, 2 * forMs, meter)))),
      ],
      targets: [{ name: dlock, atMost: 3 }],
      absent: byHand,
    };
    yield {
      title: "etcd, one key, 4 processes × 16 waiters",
      unit: "sections/s",
      better: "more",
      against: { bestBut: dlock },
      // The peer needs seconds until each of 64 has had its turn.
      rounds: 5,
      contestants: () =>
        Promise.all(
          [dlockOnEtcd, ...etcdPeers].map((recipe) => crowd("etcd", recipe, url, { count: 4, waiters: 16, forMs: 2 * forMs, meter })),
        ),
      absent: byHand,
    };
    yield {
      title: `etcd, ${held.toLocaleString("en-US")} held locks renewed once`,
      unit: "ms of client CPU",
      better: "less",
      contestants: async () => [
        await renewal(etcdDriver({ connection: { hosts: [url] } }), held, "ttlMs 6000; one lease each would take a message each", meter),
      ],
      targets: [{ name: dlock, of: "messages", as: "value", atMost: held / 50 }],
    };
  } finally {
    await server.stop();
  }
}

const byHand = { [txnsByHand.name]: "does not wait" };

/**
 * One write that is answered: no hand-over can take less than a release, its news and a claim. It comes after a pause like that of a section
 * (worker.ts), in which the processors have gone to sleep, as a release does; back to back, writes are quicker.
 */
function roundTrip(url: string, forMs: number): Contestant {
  const client = new etcd3.Etcd3({ hosts: url });
  const latencies = async (pause: (count: number) => Promise<void>) => {
    const found: number[] = [];
    for (const end = performance.now() + forMs; performance.now() < end; ) {
      await pause(found.length);
      const from = performance.now();
      await client.put("round trip").value(String(from));
      found.push(performance.now() - from);
    }
    return found;
  };
  return {
    name: "one put after a section's pause",
    async round() {
      const paced = await latencies((count) => sleep(3 + (count % 11)));
      const straight = await latencies(nothing);
      return { figure: quantile(paced, 0.5), besides: { "p99 ms": quantile(paced, 0.99), "back to back ms": quantile(straight, 0.5) } };
    },
    close: () => client.close(),
  };
}
