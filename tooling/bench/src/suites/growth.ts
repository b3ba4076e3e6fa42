/** What becomes of dlock as there is more of everything: keys held at the same time, and processes that want some. */
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { freemem, tmpdir } from "node:os";
import { join } from "node:path";
import { startEtcd, startMysql, startRedis } from "@dlock-tooling/services";
import type { Contest, Contestant, Round, Size } from "../contest.js";
import { dlock } from "../locker.js";
import { crowded, type Keys, start, stop, tell } from "../processes.js";
import type { Server } from "../recipes.js";

const heldCounts = [100, 1_000, 10_000, 100_000];
/** As many as the machine has memory for. */
const processCounts = [1, 4, 16, 64].filter((count) => count * 2 ** 27 < freemem());
const waiters = 4;
/** After a round of 64 processes on one key, all have to have had it once more. */
const rounds = 4;

/** A server, or what stands for one: where it is and how it ends. */
type Start = () => Promise<{ readonly url: string; stop(): Promise<void> }>;

export async function* growthContests({ forMs }: Size): AsyncIterable<Contest> {
  // Inside one process it cannot grow by processes.
  yield held("memory", "", forMs);
  const servers: Readonly<Record<Server, Start>> = {
    sqlite: file,
    redis: startRedis,
    // Each process has up to four connections.
    mysql: () => startMysql({ args: ["--max-connections=400"] }),
    etcd: startEtcd,
  };
  for (const [server, startServer] of Object.entries(servers) as [Server, Start][]) {
    const { url, stop: stopServer } = await startServer();
    let workers: Promise<ChildProcess[]> | undefined;
    const most = Math.max(...processCounts);
    const pool = () => (workers ??= start(most, "worker.js", [server, dlock, url]));
    try {
      yield held(server, url, forMs);
      yield processes(server, pool, "one", 2 * forMs);
      yield processes(server, pool, "own", forMs);
    } finally {
      if (workers !== undefined) await stop(await workers);
      await stopServer();
    }
  }
}

function held(server: string, url: string, forMs: number): Contest {
  const contestant = async (count: number): Promise<Contestant> => {
    const [worker] = (await start(1, "growth-worker.js", [server, url, String(count)], ["--expose-gc"])) as [ChildProcess];
    return {
      name: `${count.toLocaleString("en-US")} held`,
      at: count,
      settings: "16 cycles at once on further keys; ttlMs 600000",
      round: async () => ((await tell<Round>([worker], { forMs })) as [Round])[0],
      close: () => stop([worker]),
    };
  };
  return {
    title: `growth of keys held at the same time, ${server}`,
    unit: "cycles/s",
    better: "more",
    rounds,
    async contestants() {
      const contestants: Contestant[] = [];
      // One after another: all at once they would take turns with memory and the server.
      for (const count of heldCounts) contestants.push(await contestant(count));
      return contestants;
    },
  };
}

function processes(server: Server, pool: () => Promise<ChildProcess[]>, keys: Keys, forMs: number): Contest {
  return {
    title: `growth of processes, ${server}, ${keys === "one" ? "one key for all" : "distinct keys"}`,
    unit: "sections/s",
    better: "more",
    rounds,
    async contestants() {
      const all = await pool();
      return processCounts.map((count) => ({
        name: count === 1 ? "1 process" : `${count} processes`,
        at: count,
        settings: `${waiters} waiters in each`,
        round: () => crowded(all.slice(0, count), { waiters, forMs, keys }),
      }));
    },
  };
}

async function file() {
  const folder = mkdtempSync(join(tmpdir(), "dlock-bench-"));
  return { url: join(folder, "growth.db"), stop: async () => rmSync(folder, { recursive: true, force: true }) };
}
