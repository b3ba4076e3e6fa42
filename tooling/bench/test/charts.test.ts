/** Pictures of a run: what is in them, and that they change only with the figures. */
import { expect, test } from "vitest";
import { chartsOf } from "../src/charts.ts";
import { type Contest, hold, type Row } from "../src/contest.ts";

function contest(title: string, figures: Record<string, number>, rest: Partial<Contest> = {}): Contest {
  const contestants = Object.entries(figures).map(([name, figure]) => ({ name, round: async () => ({ figure, shares: [0.75, 0.25] }) }));
  return { title, unit: "cycles/s", better: "more", contestants: () => contestants, ...rest };
}

async function rows(): Promise<Row[]> {
  const targets = [{ name: "dlock", atLeast: 4 }];
  const held: Row[][] = [];
  for (const at of [1, 16, 256]) {
    held.push(await hold(contest(`redis, distinct keys, ${at} at once`, { floor: 100, dlock: 350, "<peer>": 50 }, { at, targets }), 2));
  }
  return held.flat();
}

test("bars show every contestant but the floor, the figure of dlock and the axis; names are written as text", async () => {
  const bars = chartsOf(await rows()).find(({ name }) => name === "redis")?.svg ?? "";
  expect(bars).toContain(">3.5 ×</text>");
  expect(bars).toContain(">&lt;peer&gt;</text>");
  expect(bars).not.toContain(">floor</text>");
  expect(bars).toContain("times as fast as the floor");
});

test("less is drawn as more where less is better", async () => {
  const work = contest("redis, hand-over, p50", { floor: 1, dlock: 2 }, { unit: "ms", better: "less" });
  const [bars] = chartsOf(await hold(work, 1));
  expect(bars?.svg).toContain(">0.5 ×</text>");
});

test("there are lines over concurrency and the shares of processes where these were measured", async () => {
  const charts = chartsOf(await rows());
  expect(charts.map(({ name }) => name)).toEqual(["redis", "redis-concurrency", "redis-fairness"]);
  const [, lines] = charts;
  for (const at of ["1", "16", "256"]) expect(lines?.svg).toContain(`>${at}</text>`);
});

test("a picture is the same for the same figures, names nothing by a number that counts up, and turns dark with its reader", async () => {
  const [once, again] = [chartsOf(await rows()), chartsOf(await rows())];
  expect(again).toEqual(once);
  for (const { svg } of once) {
    expect(svg).not.toMatch(/zr\d/);
    expect(svg).toContain("prefers-color-scheme:dark");
  }
});

test("work that nobody could do, or that has nothing to compare with, makes no picture", async () => {
  const alone = await hold(contest("mysql, held locks renewed once", { dlock: 5 }), 1);
  expect(chartsOf([{ ...(alone[0] as Row), shares: undefined }])).toEqual([]);
});
