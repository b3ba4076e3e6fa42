import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { type Contest, hold, median, order } from "../src/contest.ts";
import { jain } from "../src/processes.ts";
import { comparison, tables, targets } from "../src/report.ts";
import { metered, repeated, together } from "../src/work.ts";

function contest(better: "more" | "less", figures: Record<string, number[]>, targets: Contest["targets"] = []): Contest {
  const contestants = Object.entries(figures).map(([name, values]) => {
    // The first figure is the warm-up's.
    const left = [999, ...values];
    return { name, round: async () => left.shift() as number };
  });
  return { title: "work", unit: "cycles/s", better, contestants: () => contestants, targets };
}

test("a ratio is taken within each round, and the warm-up does not count", async () => {
  const rows = await hold(contest("more", { floor: [10, 20, 40], dlock: [20, 40, 120] }), 3);
  expect(rows.map(({ name, ratio, lowest, highest }) => [name, ratio, lowest, highest])).toEqual([
    ["floor", 1, 1, 1],
    ["dlock", 2, 2, 3],
  ]);
});

test("a target is reached from above for throughput and from below for latency", async () => {
  const faster = await hold(contest("more", { floor: [10], dlock: [20] }, [{ name: "dlock", atLeast: 2.5 }]), 1);
  expect(faster[1]?.judgements[0]?.reached).toBe(false);
  const slower = await hold(contest("less", { floor: [10], dlock: [1] }, [{ name: "dlock", atMost: 0.1 }]), 1);
  expect(slower[1]?.judgements[0]?.reached).toBe(true);
  expect(targets(slower)).toContain("| work |  | at most 0.1 × the floor | 0.1 | reached |");
});

test("a target may be a difference to the floor, or a value measured besides", async () => {
  const contestants = [
    { name: "floor", round: async () => ({ figure: 30, besides: { commands: 2 } }) },
    { name: "dlock", round: async () => ({ figure: 37, besides: { commands: 0.1 } }) },
  ];
  const targets: Contest["targets"] = [
    { name: "dlock", as: "difference", atMost: 8 },
    { name: "dlock", of: "commands", as: "value", atMost: 0.2 },
    { name: "dlock", of: "commands", atMost: 0.01 },
  ];
  const [, row] = await hold({ title: "work", unit: "ms", better: "less", contestants: () => contestants, targets }, 3);
  expect(row?.judgements.map(({ measured, reached }) => [measured, reached])).toEqual([
    [7, true],
    [0.1, true],
    [0.05, false],
  ]);
});

test("the floor may be whoever of the others did best in a round, and who cannot take part is named with the reason", async () => {
  const work = contest("more", { dlock: [40, 40], slow: [1, 10], fast: [4, 5] });
  const rows = await hold({ ...work, against: { bestBut: "dlock" }, absent: { third: "does not wait" } }, 2);
  expect(rows.map(({ name, ratio }) => [name, ratio])).toEqual([
    ["dlock", 7],
    ["slow", 0.625],
    ["fast", 0.75],
    ["third", Number.NaN],
  ]);
  expect(tables(rows)).toContain("| third |  |  | does not wait |");
});

test("two runs are compared by their ratios, and only what left the spread of the rounds is called a change", async () => {
  const before = await hold(contest("more", { floor: [10, 10], dlock: [20, 22], peer: [5, 15] }), 2);
  const after = await hold(contest("more", { floor: [20, 20], dlock: [80, 84], peer: [12, 28] }), 2);
  const [, , dlock, peer] = comparison(before, after).split("\n");
  expect(dlock).toBe("| work | dlock | 2.10 | 4.10 | +95 % | better |");
  expect(peer).toContain("within the spread");
});

test("a share is fair when everybody got the same", () => {
  expect(jain([5, 5, 5, 5])).toBe(1);
  expect(jain([4, 0, 0, 0])).toBe(0.25);
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
  await expect(hold({ title: "work", unit: "", better: "more", contestants: () => [failing] }, 1)).rejects.toThrow("broken");
  expect(closed).toBe(1);
});

test("a peer that fails in the middle has a row that says so, and the others go on", async () => {
  let turns = 0;
  const giving = async () => {
    if (turns++ === 1) throw new Error("gave up\nsomewhere");
    return 100;
  };
  const figures = { floor: async () => 10, dlock: async () => 20, peer: giving };
  const contestants = Object.entries(figures).map(([name, round]) => ({ name, round }));
  const rows = await hold({ title: "work", unit: "", better: "more", contestants: () => contestants, against: { bestBut: "dlock" } }, 3);
  expect(rows.map(({ name, ratio, absent }) => [name, ratio, absent])).toEqual([
    ["floor", 1, undefined],
    ["dlock", 2, undefined],
    ["peer", Number.NaN, "failed: Error: gave up"],
  ]);
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

test("every second round goes backwards, and every two rounds somebody else begins", () => {
  expect([0, 1, 2, 3].map((round) => order(3, round))).toEqual([
    [0, 1, 2],
    [2, 1, 0],
    [1, 2, 0],
    [0, 2, 1],
  ]);
});

test("a round goes on for as long as it is told, finishes what it has begun, and tells what one cycle took", async () => {
  let begun = 0;
  let finished = 0;
  const start = performance.now();
  const { figure, besides } = await repeated({ tasks: 3, forMs: 50 }, async () => {
    begun++;
    await sleep(5);
    finished++;
  });
  const tookMs = performance.now() - start;
  expect(tookMs).toBeGreaterThanOrEqual(50);
  expect(finished).toBe(begun);
  // The rate is that of its own clock, whose start lies within ours.
  expect(figure).toBeGreaterThanOrEqual((begun / tookMs) * 1_000);
  expect(besides?.["p50 ms"]).toBeGreaterThan(4);
  expect(besides?.["p99 ms"]).toBeGreaterThanOrEqual(besides?.["p50 ms"] as number);
});

test("what reading a server's counts costs the server itself is not counted", async () => {
  let count = 0;
  const meter = {
    async read() {
      count += 1;
      return { commands: count };
    },
  };
  const { counts } = await metered(meter, async () => {
    count += 10;
  });
  expect(counts).toEqual({ commands: 10 });
});

test("the shares of processes are told with the luckiest first, as medians of the rounds", async () => {
  const shares = [
    [0.5, 0.5],
    [0.2, 0.8],
    [0.7, 0.3],
  ];
  let round = -1;
  const crowd = { name: "crowd", round: async () => ({ figure: 1, shares: shares[Math.max(round++, 0)] as number[] }) };
  const [row] = await hold({ title: "work", unit: "", better: "more", contestants: () => [crowd] }, 3);
  expect(row?.shares).toEqual([0.7, 0.3]);
});
