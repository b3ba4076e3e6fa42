/** Answers that are none: each becomes a clear backend error, nothing is held, nothing is believed, and what may have happened is undone. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { LockBackendError } from "../src/index.ts";
import { errorOf, scenario } from "./support/scenario.ts";
import { answering, answeringEach, type Reply } from "./support/scripted-driver.ts";

const rejections: unknown[] = [];
const note = (reason: unknown) => rejections.push(reason);
beforeEach(() => {
  rejections.length = 0;
  process.on("unhandledRejection", note);
});
afterEach(() => {
  process.off("unhandledRejection", note);
});

const granted = { acquired: true, token: 7n, ttlMs: 30_000 };
const holder = { owner: "other", token: 3n, mode: "exclusive", remainingMs: 500, heldMs: 10 };

function throwing(): never {
  throw new Error("looked at");
}

const wrongAnswers: [string, Reply][] = [
  ["undefined", answering(undefined)],
  ["null", answering(null)],
  ["a number", answering(5)],
  ["an object", answering({ acquired: true, token: 1n, ttlMs: 1_000 })],
  ["an empty list", answering([])],
  ["a list that is too long", answering([granted, granted])],
];

const wrongGrants: [string, unknown][] = [
  ["undefined", undefined],
  ["null", null],
  ["true", true],
  ["nothing in it", {}],
  ["no verdict", { token: 1n, ttlMs: 1_000 }],
  ["a verdict in words", { ...granted, acquired: "yes" }],
  ["a missing token", { acquired: true, ttlMs: 30_000 }],
  ["a token of type number", { ...granted, token: 7 }],
  ["a token of type string", { ...granted, token: "7" }],
  ["a negative token", { ...granted, token: -1n }],
  ["a token of 0", { ...granted, token: 0n }],
  ["a token of 2^53", { ...granted, token: 2n ** 53n }],
  ["a huge token", { ...granted, token: 2n ** 80n }],
  ["a missing ttlMs", { acquired: true, token: 7n }],
  ["a ttlMs of type string", { ...granted, ttlMs: "30000" }],
  ["a ttlMs of type bigint", { ...granted, ttlMs: 30_000n }],
  ["a ttlMs of 0", { ...granted, ttlMs: 0 }],
  ["a negative ttlMs", { ...granted, ttlMs: -5 }],
  ["a ttlMs that is NaN", { ...granted, ttlMs: Number.NaN }],
  ["an infinite ttlMs", { ...granted, ttlMs: Number.POSITIVE_INFINITY }],
  ["a huge ttlMs", { ...granted, ttlMs: 1e18 }],
  ["a refusal with a negative retryAfterMs", { acquired: false, retryAfterMs: -1 }],
  ["a refusal with a retryAfterMs that is NaN", { acquired: false, retryAfterMs: Number.NaN }],
  ["a refusal with a retryAfterMs of type string", { acquired: false, retryAfterMs: "5" }],
  ["a refusal with a holder of type string", { acquired: false, holder: "other" }],
  ["a refusal with a holder without owner", { acquired: false, holder: { ...holder, owner: undefined } }],
  ["a refusal with a holder without token", { acquired: false, holder: { ...holder, token: undefined } }],
  ["a refusal with a holder whose time is NaN", { acquired: false, holder: { ...holder, remainingMs: Number.NaN } }],
  ["a refusal with a holder without heldMs", { acquired: false, holder: { ...holder, heldMs: undefined } }],
  ["a refusal with a holder of no mode", { acquired: false, holder: { ...holder, mode: "read" } }],
  ["a refusal with a holder of a negative token", { acquired: false, holder: { ...holder, token: -1n } }],
  ["a refusal with a holder of token 0", { acquired: false, holder: { ...holder, token: 0n } }],
  ["a refusal with a holder whose metadata is no text", { acquired: false, holder: { ...holder, metadata: 5 } }],
  ["a driver error that does not say what was applied", Object.assign(new Error("?"), { dlockDriverError: true, retryable: true })],
  ["something that throws when it is looked at", new Proxy({}, { get: throwing, getPrototypeOf: throwing })],
];

describe("an acquire", () => {
  test.each([...wrongAnswers, ...wrongGrants.map(([what, answer]): [string, Reply] => [what, answeringEach(answer)])])(
    "answered with %s fails with a backend error, and its lease on the server is undone",
    async (_what, reply) => {
      const { clock, driver, locks } = scenario();
      driver.next("acquire", (serve, virtual) => {
        serve();
        return reply(serve, virtual);
      });
      const error = await errorOf(clock.until(locks.lock("a", { waitMs: 0 })));
      expect(error).toBeInstanceOf(LockBackendError);
      expect(error).toMatchObject({ code: "DLOCK_BACKEND", key: "a" });
      await clock.advance(10);
      expect(driver.table.size).toBe(0);
      expect(locks.stats().active).toBe(0);
      await clock.advance(120_000);
      expect(clock.pending).toBe(0);
      expect(rejections).toEqual([]);
    },
  );

  test("of a batch is judged by its own answer", async () => {
    const { clock, driver, locks } = scenario();
    driver.next("acquire", answering([granted, { acquired: true }, { acquired: false, holder }, new Error("no driver error")]));
    const results = await clock.until(Promise.allSettled(["a", "b", "c", "d"].map((key) => locks.lock(key, { waitMs: 0 }))));
    expect(results.map((result) => (result.status === "fulfilled" ? "held" : result.reason.code))).toEqual([
      "held",
      "DLOCK_BACKEND",
      "DLOCK_NOT_ACQUIRED",
      "DLOCK_BACKEND",
    ]);
  });

  test("is tried again while it waits", async () => {
    const { clock, driver, locks } = scenario();
    driver.next("acquire", answering("?"), answeringEach({ acquired: "maybe" }));
    const lock = await clock.until(locks.lock("a"));
    expect(lock.isHeld).toBe(true);
    expect(driver.of("acquire")).toHaveLength(3);
  });

  test("refused with a remaining time far beyond any timer still ends at its deadline", async () => {
    const { clock, driver, locks } = scenario();
    driver.always("acquire", answeringEach({ acquired: false, retryAfterMs: 1e300, holder: { ...holder, remainingMs: 1e300 } }));
    expect(await errorOf(clock.until(locks.lock("a", { waitMs: 1_000 })))).toMatchObject({ code: "DLOCK_TIMEOUT" });
    expect(clock.now()).toBe(1_000);
  });

  test("refused with a holder whose time is over is not asked again without a pause", async () => {
    const { clock, driver, locks } = scenario();
    driver.always("acquire", answeringEach({ acquired: false, holder: { ...holder, remainingMs: -5_000 } }));
    await errorOf(clock.until(locks.lock("a", { waitMs: 1_000 })));
    expect(driver.of("acquire").length).toBeLessThanOrEqual(1_001);
  });
});

describe("a renewal", () => {
  const wrong: [string, Reply][] = [
    ...wrongAnswers,
    ...([undefined, null, 0, 1, "true", {}, new Error("plain")] as const).map((answer): [string, Reply] => [
      `[${String(answer)}]`,
      answeringEach(answer),
    ]),
  ];
  test.each(wrong)("answered with %s is no renewal and no loss: it is tried again", async (_what, reply) => {
    const { clock, driver, locks } = scenario({ ttlMs: 3_000 });
    const lock = await clock.until(locks.lock("a"));
    driver.always("extend", reply);
    expect(await errorOf(clock.until(lock.refresh()))).toBeInstanceOf(LockBackendError);
    await clock.advance(2_960);
    expect(lock.isHeld).toBe(true);
    expect(driver.of("extend").length).toBeGreaterThan(2);
    await clock.advance(10);
    expect(lock.isHeld).toBe(false);
    expect(rejections).toEqual([]);
  });
});

describe("a release", () => {
  test.each(wrongAnswers)("answered with %s is tried again", async (_what, reply) => {
    const { clock, driver, locks } = scenario();
    const lock = await clock.until(locks.lock("a"));
    driver.next("release", reply);
    expect(await clock.until(lock.unlock())).toBe(true);
    expect(driver.table.size).toBe(0);
  });
});

describe("reading", () => {
  test.each([undefined, null, 5, "holders", {}, [undefined], new Array(1), [5], [{}], [{ ...holder, token: 3 }]])(
    "holders that are %j is a backend error",
    async (answer) => {
      const { clock, driver, locks } = scenario();
      driver.always("inspect", answering(answer));
      const calls = [
        () => locks.inspect("a"),
        () => locks.isLocked("a"),
        () => locks.unlock("a", "other"),
        () => locks.renew("a", "other", 1_000),
      ];
      for (const call of calls) expect(await errorOf(clock.until<unknown>(call()))).toMatchObject({ code: "DLOCK_BACKEND" });
    },
  );

  test.each([undefined, 5, {}, { ...holder }, { ...holder, key: 5 }, { ...holder, key: "a", token: 3 }])(
    "a record that is %s, in a list, is a backend error",
    async (answer) => {
      const { driver, locks } = scenario();
      const record = { ...holder, key: "right" };
      Object.assign(driver, { list: () => [record, answer] });
      const listed: string[] = [];
      const error = await errorOf(
        (async () => {
          for await (const { key } of locks.list()) listed.push(key);
        })(),
      );
      expect(error).toMatchObject({ code: "DLOCK_BACKEND", cause: { message: "the driver's answer is malformed" } });
      expect(listed).toEqual(["right"]);
    },
  );

  test.each([undefined, "many", -1, Number.NaN])("a sweep that reports %s is a backend error", async (answer) => {
    const { clock, driver, locks } = scenario();
    driver.always("sweep", answering(answer));
    expect(await errorOf(clock.until(locks.sweep()))).toMatchObject({ code: "DLOCK_BACKEND" });
    expect(locks.stats().swept).toBe(0);
  });
});

describe("a driver that throws instead of rejecting", () => {
  test.each(["acquire", "extend", "release", "inspect", "sweep", "ping"] as const)(
    "at once in %s is a backend error",
    async (operation) => {
      const { clock, driver, locks } = scenario({ attemptTimeoutMs: 1_000 });
      const lock = await clock.until(locks.lock("held"));
      Object.assign(driver, {
        [operation]: () => {
          throw new Error("at once");
        },
      });
      const calls = {
        acquire: () => locks.lock("a", { waitMs: 0 }),
        extend: () => lock.refresh(),
        release: () => lock.unlock(),
        inspect: () => locks.inspect("a"),
        sweep: () => locks.sweep(),
        ping: () => locks.ping(),
      };
      const error = await errorOf(clock.until<unknown>(calls[operation]()));
      expect(error).toBeInstanceOf(LockBackendError);
      expect((error as Error).message).toContain("at once");
      expect(clock.vital).toBe(0);
    },
  );

  test("or rejects with what throws when it is looked at is a backend error too", async () => {
    const { clock, driver, locks } = scenario();
    const hostile = Object.defineProperty(new Error("hidden"), "message", { get: throwing });
    for (const operation of ["acquire", "inspect", "sweep", "ping"] as const) driver.always(operation, () => Promise.reject(hostile));
    for (const call of [() => locks.lock("a", { waitMs: 0 }), () => locks.inspect("a"), () => locks.sweep(), () => locks.ping()])
      expect(await errorOf(clock.until<unknown>(call()))).toMatchObject({ code: "DLOCK_BACKEND" });
    expect(rejections).toEqual([]);
  });

  test.each([undefined, null, "text", 5, { code: 1 }])("or rejects with %j is a backend error too", async (thrown) => {
    const { clock, driver, locks } = scenario();
    driver.always("acquire", () => Promise.reject(thrown));
    expect(await errorOf(clock.until(locks.lock("a", { waitMs: 0 })))).toBeInstanceOf(LockBackendError);
  });
});
