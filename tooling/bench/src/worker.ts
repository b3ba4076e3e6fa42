/** One process of several that want the same key: argv is the server, the name of a recipe and the address. It does what the parent says. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Locker } from "./locker.js";
import type { Crowd, Moment, Order, Turns } from "./processes.js";
import { recipeOf, type Server } from "./recipes.js";

const [server = "", name = "", url = ""] = process.argv.slice(2);
const locker = await (await recipeOf(server as Server, name)).open(url);

process.on("message", async (order: Order) => {
  const cpu = process.cpuUsage();
  const report = order.what === "turns" ? await turns(locker, order) : await crowd(locker, order);
  const { user, system } = process.cpuUsage(cpu);
  process.send?.({ ...report, cpu: user + system });
});
process.on("disconnect", () => void locker.close());
process.send?.("ready");

/** Takes the key again and again, and tells the moments on the clock that all processes of a machine share. */
async function turns({ hold }: Locker, { forMs, paced }: Extract<Order, { what: "turns" }>): Promise<Omit<Turns, "cpu">> {
  const end = performance.now() + forMs;
  const moments: Moment[] = [];
  let turn = 0;
  const tell = (what: Moment["what"]) => moments.push({ what, pid: process.pid, at: Number(process.hrtime.bigint()) / 1e6 });
  while (performance.now() < end) {
    await hold("hand-over", async () => {
      tell("granted");
      // Long enough for the other one to be waiting, and never the same: whoever polls would meet each release in the same phase.
      if (paced) await sleep(3 + (turn++ % 11));
      tell("released");
    });
  }
  return { moments };
}

/** So many waiters take the key, or each its own, again and again for a while. */
async function crowd({ hold }: Locker, { waiters, forMs, keys }: Extract<Order, { what: "crowd" }>): Promise<Omit<Crowd, "cpu">> {
  const start = performance.now();
  const end = start + forMs;
  const sections = new Array<number>(waiters).fill(0);
  const cycles: number[] = [];
  let longestWait = 0;
  const waiter = async (_: unknown, index: number) => {
    const key = keys === "one" ? "crowd" : `own ${process.pid} ${index}`;
    for (let from = performance.now(); from < end; ) {
      await hold(key, async () => {
        longestWait = Math.max(longestWait, performance.now() - from);
        sections[index] = (sections[index] as number) + 1;
      });
      const done = performance.now();
      cycles.push(done - from);
      from = done;
    }
  };
  await Promise.all(Array.from({ length: waiters }, waiter));
  return { sections, cycles, longestWait, tookMs: performance.now() - start };
}
