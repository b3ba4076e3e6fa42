/** The checker on histories made by hand: good ones pass, and each kind of bad one is caught by the check that is there for it. */
import { describe, expect, test } from "vitest";
import { type Judgement, judge, passes } from "../src/check/judge.ts";
import { checkRegister } from "../src/check/register.ts";
import type { Event } from "../src/history.ts";

const ttlMs = 1_000;

/** A history in few words: each line is one event, its fields without the defaults. */
class Story {
  readonly #events: Event[] = [];
  #id = 0;

  /** Asked at `from`, granted at `at`; believed in until `until`. */
  lock(process: string, at: number, token: number, until: number, more: Partial<Event> & { from?: number } = {}): this {
    const { from = at - 1, ...fields } = more;
    const id = ++this.#id;
    this.#events.push({ at: from, process, type: "invoke", op: "lock", id, key: "k", ttlMs, ...fields });
    this.#events.push({ at, process, type: "ok", op: "lock", id, key: "k", mode: "exclusive", token: String(token), until, ...fields });
    return this;
  }

  unlock(process: string, at: number, token: number): this {
    const id = ++this.#id;
    for (const type of ["invoke", "ok"] as const)
      this.#events.push({ at: at + (type === "ok" ? 1 : 0), process, type, op: "unlock", id, key: "k", token: String(token) });
    return this;
  }

  /** Asked for from `from` until `at`, in vain. */
  wait(process: string, from: number, at: number, more: Partial<Event> = {}): this {
    const id = ++this.#id;
    this.#events.push({ at: from, process, type: "invoke", op: "lock", id, key: "k", ttlMs, ...more });
    this.#events.push({ at, process, type: "fail", op: "lock", id, key: "k" });
    return this;
  }

  /** An operation on the register from `at` for 2 ms; `"unknown"`: nobody knows how it ended. */
  register(op: "read" | "write", process: string, at: number, token: number, value?: string, end: "ok" | "fail" | "unknown" = "ok"): this {
    const what = { process, op, id: ++this.#id, key: "k", token: String(token) };
    const seen = value === undefined ? {} : { value };
    this.#events.push({ at, type: "invoke", ...what, ...(op === "write" ? seen : {}) });
    if (end !== "unknown") this.#events.push({ at: at + 2, type: end, ...what, ...(op === "read" ? seen : {}) });
    return this;
  }

  note(event: Partial<Event> & Pick<Event, "at" | "type">): this {
    this.#events.push({ process: "supervisor", key: "k", ...event });
    return this;
  }

  get events(): Event[] {
    return this.#events.toSorted((a, b) => a.at - b.at);
  }

  judge(): Judgement {
    return judge(this.events, ttlMs);
  }
}

/** Which checks found something. */
function found(judgement: Judgement): string[] {
  const { overlaps, toldLate, tokens, ghosts } = judgement;
  return Object.entries({ overlaps, toldLate, tokens, ghosts }).flatMap(([name, { length }]) => (length > 0 ? [name] : []));
}

describe("a good history passes", () => {
  const good: [string, Story][] = [
    ["one holder after another", new Story().lock("p", 10, 1, 900).unlock("p", 100, 1).lock("q", 105, 2, 1_100).unlock("q", 200, 2)],
    ["a takeover after the deadline", new Story().lock("p", 10, 1, 900).lock("q", 1_015, 2, 1_900).unlock("q", 1_100, 2)],
    [
      "a takeover from a dead holder before its deadline ends",
      new Story().lock("p", 10, 1, 900).note({ at: 50, type: "fault", fault: "kill", target: "p" }).lock("q", 880, 2, 1_900),
    ],
    [
      "a grant as a loss is told",
      new Story().lock("p", 10, 1, 900).note({ at: 50, process: "p", type: "lost", token: "1" }).lock("q", 60, 2, 900),
    ],
    [
      "a renewal",
      new Story()
        .lock("p", 10, 1, 900)
        .note({ at: 400, process: "p", type: "renewed", token: "1", until: 1_400 })
        .unlock("p", 1_300, 1)
        .lock("q", 1_305, 2, 2_000),
    ],
    [
      "shared holders together, in any order of their tokens",
      new Story().lock("p", 10, 2, 900, { mode: "shared" }).lock("q", 20, 1, 900, { mode: "shared" }),
    ],
    [
      "as many as the limit allows",
      new Story().lock("p", 10, 1, 900, { mode: "shared", limit: 2 }).lock("q", 20, 2, 900, { mode: "shared", limit: 2 }),
    ],
    [
      "one who was stopped while it was granted, and finds it over",
      new Story().lock("q", 1_000, 2, 1_900).lock("p", 1_500, 1, 1_400, { from: 5 }),
    ],
    ["a wait behind a lease", new Story().lock("p", 10, 1, 20_000).wait("q", 20, 9_000)],
    [
      "a wait behind the lease that one who died may have been granted",
      new Story()
        .wait("p", 5, 15, { ttlMs: 20_000 })
        .note({ at: 10, type: "fault", fault: "kill", target: "p" })
        .lock("q", 9_000, 1, 9_900, { from: 20 }),
    ],
    [
      "a wait of one who is cut off",
      new Story()
        .note({ at: 10, type: "fault", fault: "cut off", target: "q" })
        .note({ at: 9_000, type: "fault", fault: "heal", target: "q" })
        .lock("q", 9_100, 1, 9_900, { from: 20 }),
    ],
    [
      "a late write that is refused",
      new Story()
        .lock("p", 10, 1, 900)
        .register("read", "p", 20, 1)
        .lock("q", 1_000, 2, 1_900)
        .register("read", "q", 1_010, 2)
        .register("write", "p", 1_020, 1, "x", "fail"),
    ],
    [
      "a write of which nobody knows, seen later",
      new Story()
        .lock("p", 10, 1, 900)
        .register("write", "p", 20, 1, "x", "unknown")
        .lock("q", 1_000, 2, 1_900)
        .register("read", "q", 1_010, 2, "x"),
    ],
    [
      "a write of which nobody knows, not seen later",
      new Story()
        .lock("p", 10, 1, 900)
        .register("write", "p", 20, 1, "x", "unknown")
        .lock("q", 1_000, 2, 1_900)
        .register("read", "q", 1_010, 2),
    ],
  ];
  test.each(good)("%s", (_, story) => {
    const judgement = story.judge();
    expect(found(judgement)).toEqual([]);
    expect(passes({ ...judgement, acquisitions: 1 })).toBe(true);
  });

  test("but not when nothing was granted at all", () => {
    expect(passes(new Story().wait("p", 5, 10).judge())).toBe(false);
  });
});

describe("a bad history is caught", () => {
  const bad: [string, string[], Story][] = [
    ["two who believe to hold a lock", ["toldLate"], new Story().lock("p", 10, 1, 900).lock("q", 500, 2, 1_400)],
    ["a belief that goes on for 2 ms", ["toldLate"], new Story().lock("p", 10, 1, 502).lock("q", 500, 2, 1_400)],
    [
      "a renewal that holds on to a lock that is another's",
      ["toldLate"],
      new Story().lock("p", 10, 1, 400).note({ at: 390, process: "p", type: "renewed", token: "1", until: 1_400 }).lock("q", 500, 2, 1_400),
    ],
    [
      "a loss that is told after the next grant",
      ["toldLate"],
      new Story().lock("p", 10, 1, 900).note({ at: 550, process: "p", type: "lost", token: "1" }).lock("q", 500, 2, 1_400),
    ],
    [
      "a belief that outlives its deadline",
      ["toldLate"],
      new Story()
        .lock("p", 10, 1, 900)
        .lock("q", 1_000, 2, 1_900)
        .note({ at: 1_010, process: "p", type: "held", token: "1", until: 1_500 }),
    ],
    ["a reader beside a writer", ["toldLate"], new Story().lock("p", 10, 1, 900).lock("q", 500, 2, 1_400, { mode: "shared" })],
    ["a writer beside a reader", ["toldLate"], new Story().lock("p", 10, 1, 900, { mode: "shared" }).lock("q", 500, 2, 1_400)],
    [
      "one more than the limit",
      ["toldLate"],
      new Story().lock("p", 10, 1, 900, { mode: "shared", limit: 1 }).lock("q", 20, 2, 900, { mode: "shared", limit: 1 }),
    ],
    ["a token that goes back", ["tokens"], new Story().lock("p", 10, 2, 900).unlock("p", 100, 2).lock("q", 105, 1, 900)],
    [
      "a reader's token that is older than a writer's",
      ["tokens"],
      new Story().lock("p", 10, 2, 900).unlock("p", 100, 2).lock("q", 105, 1, 900, { mode: "shared" }),
    ],
    ["a token granted twice", ["tokens"], new Story().lock("p", 10, 1, 900).unlock("p", 100, 1).lock("q", 105, 1, 900)],
    ["a key that is nobody's and is refused", ["ghosts"], new Story().lock("p", 10, 1, 900).unlock("p", 100, 1).wait("q", 200, 9_000)],
    [
      "a key that is granted after a ghost has ended",
      ["ghosts"],
      new Story().lock("p", 10, 1, 900).unlock("p", 100, 1).lock("q", 9_000, 2, 9_900, { from: 200 }),
    ],
    ["a ghost of one who lives", ["ghosts"], new Story().wait("p", 5, 15, { ttlMs: 20_000 }).lock("q", 9_000, 1, 9_900, { from: 20 })],
    [
      "a late write that is accepted",
      ["overlaps"],
      new Story().lock("p", 10, 1, 900).lock("q", 1_000, 2, 1_900).register("read", "q", 1_010, 2).register("write", "p", 1_020, 1, "x"),
    ],
    [
      "a read that misses a write",
      ["overlaps"],
      new Story()
        .lock("p", 10, 1, 900)
        .register("write", "p", 20, 1, "x")
        .unlock("p", 100, 1)
        .lock("q", 105, 2, 900)
        .register("read", "q", 110, 2),
    ],
    ["a read of what nobody wrote", ["overlaps"], new Story().lock("p", 10, 1, 900).register("read", "p", 20, 1, "x")],
  ];
  test.each(bad)("%s", (_, by, story) => {
    const judgement = story.judge();
    expect(found(judgement)).toEqual(by);
    expect(passes(judgement)).toBe(false);
  });

  test("a refused write that was seen all the same", () => {
    const { events } = new Story().register("write", "p", 10, 1, "x", "fail").register("read", "q", 20, 2, "x");
    expect(checkRegister("k", events).faults).toHaveLength(1);
  });
});

describe("a step of the server's clock", () => {
  const stepped = (stepMs: number) =>
    new Story().lock("p", 10, 1, 900).note({ at: 100, type: "fault", fault: "server clock", stepMs }).lock("q", 120, 2, 1_100);

  test("forward excuses that a holder was told late, and it is counted apart", () => {
    const judgement = stepped(3_600_000).judge();
    expect(found(judgement)).toEqual([]);
    expect(judgement.toldLateByClock).toHaveLength(1);
    expect(passes(judgement)).toBe(true);
  });

  test("back excuses nobody", () => {
    const judgement = stepped(-3_600_000).judge();
    expect(found(judgement)).toEqual(["toldLate"]);
    expect(judgement.toldLateByClock).toEqual([]);
  });

  test("forward excuses what was handed on inside a process afterwards, until the lease would have been renewed or over", () => {
    const handedOn = (at: number) =>
      new Story()
        .lock("p", 10, 1, 900)
        .unlock("p", at - 2, 1)
        .note({ at: 100, type: "fault", fault: "server clock", stepMs: 3_600_000 })
        .lock("q", 120, 3, 125)
        .lock("p", at, 2, at + 100)
        .lock("q", at + 10, 4, at + 900)
        .judge();
    expect(found(handedOn(130))).toEqual([]);
    expect(handedOn(130).toldLateByClock).toHaveLength(2);
    expect(found(handedOn(1_200))).toEqual(["toldLate", "tokens"]);
  });

  test("forward excuses that a grant was heard of after the next one, and no token that went back", () => {
    const overtaken = new Story()
      .note({ at: 50, type: "fault", fault: "server clock", stepMs: 3_600_000 })
      .lock("q", 60, 2, 70)
      .lock("p", 80, 1, 900, { from: 40 });
    expect(found(overtaken.judge())).toEqual([]);
    const wentBack = new Story()
      .lock("q", 20, 2, 30)
      .note({ at: 50, type: "fault", fault: "server clock", stepMs: 3_600_000 })
      .lock("p", 1_100, 1, 1_900, { from: 1_090 });
    expect(found(wentBack.judge())).toEqual(["tokens"]);
  });

  test("never excuses a late write that is accepted", () => {
    const judgement = stepped(3_600_000).register("read", "q", 130, 2).register("write", "p", 140, 1, "x").judge();
    expect(found(judgement)).toEqual(["overlaps"]);
    expect(passes(judgement)).toBe(false);
  });
});

describe("the judgement", () => {
  test("does not count the time in which nobody wants what a dead process held", () => {
    const judgement = new Story()
      .lock("p", 10, 1, 900)
      .note({ at: 100, type: "fault", fault: "kill", target: "p" })
      .lock("q", 5_000, 2, 5_900, { from: 4_990 })
      .lock("r", 6_000, 3, 6_900, { from: 800 })
      .judge();
    expect(judgement.recovery).toEqual([]);
  });

  test("measures from a death to the next grant of what the dead held, and from the return of a network to the next grant to its process", () => {
    const judgement = new Story()
      .lock("p", 10, 1, 900)
      .note({ at: 100, type: "fault", fault: "kill", target: "p" })
      .note({ at: 200, type: "fault", fault: "cut off", target: "q" })
      .note({ at: 300, type: "fault", fault: "heal", target: "q" })
      .note({ at: 600, type: "fault", fault: "cut", target: "q" })
      .lock("r", 905, 2, 908, { from: 500 })
      .lock("q", 910, 3, 1_900)
      .judge();
    expect(judgement).toMatchObject({ acquisitions: 3, faults: 3 });
    // Cut before it was granted anything: only what came after the cut counts.
    expect(judgement.recovery).toEqual([
      { kind: "kill", count: 1, p50Ms: 805, p99Ms: 805 },
      { kind: "partition", count: 1, p50Ms: 310, p99Ms: 310 },
    ]);
  });
});
