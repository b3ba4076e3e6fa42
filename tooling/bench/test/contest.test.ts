import { expect, test } from "vitest";
import { type Contest, hold, median, together } from "../src/contest.ts";
import { table } from "../src/report.ts";

function contest(better: "more" | "less", figures: Record<string, number[]>, target: Contest["target"]): Contest {
  const contestants = Object.entries(figures).map(([name, values]) => {
    // The first figure is the warm-up's.
    const left = [999, ...values];
    return { name, round: async () => left.shift() as number };
  });
  return { title: "work", unit: "cycles/s", better, contestants, ...(target === undefined ? {} : { target }) };
}

test("a ratio is taken within each round, and the warm-up does not count", async () => {
  const rows = await hold(contest("more", { floor: [10, 20, 40], dlock: [20, 40, 120] }, undefined), 3);
  expect(rows.map(({ name, ratio, lowest, highest }) => [name, ratio, lowest, highest])).toEqual([
    ["floor", 1, 1, 1],
    ["dlock", 2, 2, 3],
  ]);
});

test("a target is reached from above for throughput and from below for latency", async () => {
  const faster = await hold(contest("more", { floor: [10], dlock: [20] }, { name: "dlock", ratio: 2.5 }), 1);
  expect(faster[1]?.reached).toBe(false);
  const slower = await hold(contest("less", { floor: [10], dlock: [1] }, { name: "dlock", ratio: 0.1 }), 1);
  expect(slower[1]?.reached).toBe(true);
  expect(table(slower)).toContain("0.1 reached");
});

test("contestants are closed even when a round fails", async () => {
  let closed = 0;
  const failing = {
    name: "failing",
    round: () => Promise.reject(new Error("broken")),
    close: () => {
      closed++;
    },
  };
  await expect(hold({ title: "work", unit: "", better: "more", contestants: [failing] }, 1)).rejects.toThrow("broken");
  expect(closed).toBe(1);
});

test("work is shared by so many tasks and done once each", async () => {
  const done: number[] = [];
  let atOnce = 0;
  let most = 0;
  await together(4, 20, async (unit) => {
    most = Math.max(most, ++atOnce);
    await null;
    atOnce--;
    done.push(unit);
  });
  expect(most).toBe(4);
  expect(done.sort((one, other) => one - other)).toEqual(Array.from({ length: 20 }, (_, unit) => unit));
});

test("the median of an even number of figures lies between the middle ones", () => {
  expect(median([4, 1, 3, 2])).toBe(2.5);
});
