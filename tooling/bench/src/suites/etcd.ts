/** Locks in etcd, against two transactions by hand and etcd3's own Lock. */

import { etcdDriver } from "@dlock/etcd";
import { startEtcd } from "@dlock-tooling/services";
import etcd3 from "etcd3";
import { type Contest, type Contestant, quantile } from "../contest.js";
import { contestant, dlock } from "../locker.js";
import { dlockOnEtcd, etcdPeers, txnsByHand } from "../lockers/etcd.js";
import { etcdMessages } from "../meters.js";
import { handOver } from "../processes.js";
import { renewal } from "../renewal.js";

export async function* etcdContests(scale: number): AsyncIterable<Contest> {
  const server = await startEtcd();
  const { url } = server;
  const meter = { name: "messages a section", read: () => etcdMessages(url) };
  try {
    for (const [tasks, ratio] of [
      [1, 0.9],
      [16, 3],
      [256, 10],
    ] as const) {
      const units = Math.ceil((tasks === 1 ? 500 : 4_000) * scale);
      const keyOf = (unit: number) => `key ${unit}`;
      yield {
        title: `etcd, distinct keys, ${tasks} at once`,
        unit: "cycles/s",
        better: "more",
        contestants: async () =>
          Promise.all([txnsByHand, dlockOnEtcd, ...etcdPeers].map((recipe) => contestant(recipe, url, { tasks, units, keyOf, meter }))),
        targets: [{ name: dlock, atLeast: ratio }],
      };
    }
    yield {
      title: "etcd, one key, 16 waiters in one process",
      unit: "sections/s",
      better: "more",
      contestants: async () =>
        [
          await contestant(txnsByHand, url, { tasks: 1, units: Math.ceil(500 * scale), keyOf: (unit) => `alone ${unit}`, meter }),
          await contestant(dlockOnEtcd, url, { tasks: 16, units: Math.ceil(15_000 * scale), meter }),
          ...(await Promise.all(etcdPeers.map((peer) => contestant(peer, url, { tasks: 16, units: Math.ceil(200 * scale), meter })))),
        ].map((each, index) => (index === 0 ? { ...each, name: `${each.name}, distinct keys, 1 at once` } : each)),
      targets: [{ name: dlock, atLeast: 20 }],
    };
    yield {
      title: "etcd, hand-over between two processes, p50",
      unit: "ms",
      better: "less",
      contestants: async () => [
        roundTrip(url, 200 * scale),
        ...(await Promise.all([dlockOnEtcd, ...etcdPeers].map((recipe) => handOver("etcd", recipe, url, 60 * scale)))),
      ],
      targets: [{ name: dlock, atMost: 3 }],
    };
    const held = Math.ceil(10_000 * Math.max(scale, 0.2));
    yield {
      title: `etcd, ${held.toLocaleString("en-US")} held locks renewed once`,
      unit: "ms of client CPU",
      better: "less",
      contestants: async () => [
        await renewal(etcdDriver({ connection: { hosts: [url] } }), held, "ttlMs 6000; one lease each would take a message each", {
          name: "messages",
          read: () => etcdMessages(url),
        }),
      ],
      targets: [{ name: dlock, of: "messages", as: "value", atMost: held / 50 }],
    };
  } finally {
    await server.stop();
  }
}

/** One write that is answered: no hand-over can take less than a release, its news and a claim. */
function roundTrip(url: string, count: number): Contestant {
  const client = new etcd3.Etcd3({ hosts: url });
  return {
    name: "one put",
    async round() {
      const latencies: number[] = [];
      for (let i = 0; i < Math.max(count, 10); i++) {
        const from = performance.now();
        await client.put("round trip").value(String(i));
        latencies.push(performance.now() - from);
      }
      return quantile(latencies, 0.5);
    },
    close: () => client.close(),
  };
}
