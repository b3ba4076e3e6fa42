/** One process of several that want the same key: argv is the server, the name of a recipe and the address. It does what the parent says. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Locker } from "./locker.js";
import type { Moment, Order } from "./processes.js";
import { recipeOf, type Server } from "./recipes.js";

const [server = "", name = "", url = ""] = process.argv.slice(2);
const locker = await (await recipeOf(server as Server, name)).open(url);

process.on("message", (order: Order) => {
  const done = order.what === "turns" ? turns(locker, order.turns) : crowd(locker, order);
  void done.then((report) => process.send?.(report));
});
process.on("disconnect", () => void locker.close());
process.send?.("ready");

/** Takes the key so many times, and tells the moments on the clock that all processes of a machine share. */
async function turns({ hold }: Locker, count: number): Promise<Moment[]> {
  const moments: Moment[] = [];
  const tell = (what: Moment["what"]) => moments.push({ what, pid: process.pid, at: Number(process.hrtime.bigint()) / 1e6 });
  for (let turn = 0; turn < count; turn++) {
    await hold("hand-over", async () => {
      tell("granted");
      // Long enough for the other one to be waiting.
      await sleep(3);
      tell("released");
    });
  }
  return moments;
}

/** So many waiters take the key again and again for a while. */
async function crowd(
  { hold }: Locker,
  { waiters, forMs }: Extract<Order, { what: "crowd" }>,
): Promise<{ sections: number[]; waits: number[] }> {
  const end = performance.now() + forMs;
  const sections = new Array<number>(waiters).fill(0);
  const waits: number[] = [];
  const waiter = async (_: unknown, index: number) => {
    for (let from = performance.now(); from < end; from = performance.now()) {
      await hold("crowd", async () => {
        waits.push(performance.now() - from);
        sections[index] = (sections[index] as number) + 1;
      });
    }
  };
  await Promise.all(Array.from({ length: waiters }, waiter));
  // Only the longest ones are of interest.
  return { sections, waits: waits.sort((one, other) => other - one).slice(0, 1) };
}
