/** What falls due runs, the earliest first and once, whatever is added, moved and dropped meanwhile: the heap against a plain list. */
import { expect, test } from "vitest";
import { type Entry, Schedule } from "../src/schedule.ts";
import { Random } from "./simulation/random.ts";
import { VirtualClock } from "./support/virtual-clock.ts";

/** Random entries of one schedule. Returns how many ran, and how many were told of its end. */
async function play(seed: number): Promise<{ ran: number; dropped: number }> {
  const random = new Random(seed);
  const whole = (least: number, most: number) => Math.floor(random.between(least, most + 1));
  const clock = new VirtualClock();
  const schedule = new Schedule(clock);
  /** When each is due. */
  const due = new Map<Entry, number>();
  const told = { ran: 0, dropped: 0 };
  const entries = Array.from({ length: 40 }, (_, index) => {
    const entry: Entry = {
      slot: -1,
      keepsAlive: index % 8 === 0,
      run(now) {
        expect(due.get(entry)).toBe(Math.min(...due.values()));
        expect(due.get(entry)).toBeLessThanOrEqual(now);
        due.delete(entry);
        told.ran += 1;
        for (let i = whole(0, 2); i > 0; i--) act();
      },
      closed() {
        expect(due.delete(entry)).toBe(true);
        told.dropped += 1;
      },
    };
    return entry;
  });
  const act = () => {
    const entry = random.pick(entries);
    if (random.chance(0.4)) {
      schedule.delete(entry);
      due.delete(entry);
    } else if (!schedule.closed) {
      // Some of them are overdue, and many fall due together.
      const at = clock.now() + whole(-3, 30);
      schedule.set(entry, at);
      due.set(entry, at);
    }
    if (random.chance(0.0005)) schedule.close();
  };
  for (let step = 0; step < 300; step++) {
    for (let i = whole(0, 3); i > 0; i--) act();
    expect(schedule.size).toBe(due.size);
    expect(clock.vital > 0).toBe([...due.keys()].some(({ keepsAlive }) => keepsAlive));
    await clock.advance(whole(0, 5));
    for (const at of due.values()) expect(at).toBeGreaterThan(clock.now());
  }
  schedule.close();
  expect(due.size).toBe(0);
  expect(clock.pending).toBe(0);
  return told;
}

test("what is due runs in the order of its time, and what is left when it is closed is told", async () => {
  let [ran, dropped] = [0, 0];
  for (let seed = 1; seed <= 50; seed++) {
    try {
      const told = await play(seed);
      ran += told.ran;
      dropped += told.dropped;
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
  }
  expect(ran).toBeGreaterThan(5_000);
  expect(dropped).toBeGreaterThan(50);
});
