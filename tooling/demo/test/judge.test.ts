/** The verdict: each check fails for the fault it is there for, and for no other. */
import { expect, test } from "vitest";
import type { Event, Histories } from "../src/history.ts";
import { judge } from "../src/judge.ts";
import type { Posting } from "../src/ledger.ts";
import { timeline } from "../src/timeline.ts";

const executions = ["a", "b"].map((id) => ({ id, template: "t", workMs: 1, amount: 10 }));
const posting = (id: string, worker: string, token: string): Posting => ({ id, amount: 10, worker, token });

/** One worker dies with `a` in its hands, another oversleeps with `b`, a third takes both over. */
function histories(change: (events: Record<"w1" | "w2" | "w3", Event[]>) => void = () => {}): Histories {
  const events = {
    w1: [
      { at: 0, event: "started" },
      { at: 1, event: "acquired", id: "a", token: "1", until: 50 },
      { at: 2, event: "looked", id: "a", token: "1" },
      { at: 3, event: "killed" },
    ] as Event[],
    w2: [
      { at: 0, event: "started" },
      { at: 1, event: "acquired", id: "b", token: "2", until: 50 },
      { at: 2, event: "looked", id: "b", token: "2" },
      { at: 3, event: "decided", id: "b", token: "2" },
      { at: 4, event: "stopped" },
      { at: 70, event: "continued" },
      { at: 71, event: "refused", id: "b", token: "2" },
      { at: 72, event: "released", id: "b", token: "2" },
    ] as Event[],
    w3: [
      { at: 0, event: "started" },
      { at: 51, event: "acquired", id: "a", token: "3", until: 100 },
      { at: 52, event: "looked", id: "a", token: "3" },
      { at: 53, event: "posted", id: "a", token: "3" },
      { at: 54, event: "released", id: "a", token: "3" },
      { at: 55, event: "acquired", id: "b", token: "4", until: 105 },
      { at: 56, event: "looked", id: "b", token: "4" },
      { at: 57, event: "posted", id: "b", token: "4" },
      { at: 58, event: "released", id: "b", token: "4" },
    ] as Event[],
  };
  change(events);
  return new Map(Object.entries(events));
}

const once = [posting("a", "w3", "3"), posting("b", "w3", "4")];
const failed = (postings: Posting[], of: Histories) =>
  judge(executions, postings, of)
    .checks.filter(({ ok }) => !ok)
    .map(({ name }) => name);
const replace = (events: Event[], name: string, change: Partial<Event>) =>
  events.forEach((event, index) => {
    if (event.event === name) events[index] = { ...event, ...change };
  });

test("a run with both accidents and nothing wrong passes, and is counted rightly", () => {
  expect(failed(once, histories())).toEqual([]);
  expect(judge(executions, once, histories())).toMatchObject({ locks: 4, takeovers: 2, refused: 1, twice: [] });
});

test.each([
  ["missing", once.slice(1)],
  ["posted twice", [...once, posting("b", "w2", "2")]],
  ["posted with another amount", [once[0] as Posting, { ...posting("b", "w3", "4"), amount: 11 }]],
])("an execution that is %s fails", (_, postings) => {
  expect(failed(postings, histories())).toEqual(["every execution was posted exactly once"]);
});

test("a run without its accidents proves nothing, and fails", () => {
  const calm = histories(({ w1 }) => w1.splice(3));
  expect(failed(once, calm)).toEqual(["a worker was killed, another stopped and continued, and their work was taken over"]);
});

test("a run without a stale write proves nothing, and fails", () => {
  const late = histories(({ w2 }) => w2.splice(6, 1));
  expect(failed(once, late)).toEqual(["stale writes were attempted, and the ledger refused them all"]);
});

test("a stale write that went through fails, as an overlap that the fence did not cover", () => {
  const through = histories(({ w2 }) => replace(w2, "refused", { event: "posted" }));
  expect(failed(once, through)).toEqual([
    "stale writes were attempted, and the ledger refused them all",
    "where a worker acted on a past belief, the fence covered it",
  ]);
});

test("a late write that the successor saw when it looked is no stale one", () => {
  const seen = histories(({ w2 }) => w2.splice(6, 1, { at: 55.5, event: "posted", id: "b", token: "2" }));
  expect(failed(once, seen)).toEqual(["stale writes were attempted, and the ledger refused them all"]);
});

test("a token that does not grow fails", () => {
  const backwards = histories(({ w1 }) => replace(w1, "acquired", { token: "3" }));
  expect(failed(once, backwards)).toEqual(["tokens grew for every execution"]);
});

test("two workers who believe to hold a lock at one time fail, also when a renewal made one believe it", () => {
  const belief = ["no two workers believed to hold a lock at one time"];
  expect(
    failed(
      once,
      histories(({ w2 }) => replace(w2, "acquired", { until: 56 })),
    ),
  ).toEqual(belief);
  const renewed = histories(({ w2 }) => w2.splice(4, 0, { at: 3.5, event: "renewed", id: "b", token: "2", until: 56 }));
  expect(failed(once, renewed)).toEqual(belief);
});

test("the timeline shows who worked, died, slept and came too late", () => {
  const lines = timeline(histories());
  expect(lines).toHaveLength(3);
  expect(lines[0]).toMatch(/^w1 \|[#.]+X +\|$/);
  expect(lines[1]).toMatch(/^w2 \|[#.]+z+!+#?\|$/);
  expect(lines[2]).toMatch(/^w3 \|\.+#+\.+\|$/);
});
