/** Every option is checked: a wrong one is a TypeError or a RangeError that names it and what is accepted, and nothing is asked. */
import { describe, expect, test } from "vitest";
import {
  createLockProvider,
  exponentialBackoff,
  fixedInterval,
  InvalidLockKeyError,
  type LockOptions,
  linearBackoff,
  type ProviderOptions,
} from "../src/index.ts";
import { errorOf, scenario } from "./support/scenario.ts";
import { ScriptedDriver } from "./support/scripted-driver.ts";
import { VirtualClock } from "./support/virtual-clock.ts";

const notNumbers: [string, unknown][] = [
  ["a string", "100"],
  ["null", null],
  ["a bigint", 100n],
  ["an object", {}],
  ["a boolean", true],
];
const notIn = (least: number): [string, number][] => [
  ["NaN", Number.NaN],
  ["negative", -1],
  ["minus infinity", Number.NEGATIVE_INFINITY],
  ["infinite", Number.POSITIVE_INFINITY],
  ["2^31", 2 ** 31],
  ...(least > 0 ? ([["below the least", least - 0.001]] as [string, number][]) : []),
];

type Kind = typeof TypeError | typeof RangeError;
interface Wrong {
  readonly option: string;
  readonly what: string;
  readonly value: unknown;
  readonly kind: Kind;
}

const numbers = (option: string, least: number): Wrong[] => [
  ...notNumbers.map(([what, value]) => ({ option, what, value, kind: TypeError as Kind })),
  ...notIn(least).map(([what, value]) => ({ option, what, value, kind: RangeError as Kind })),
];
const wrong = (option: string, kind: Kind, values: Record<string, unknown>): Wrong[] =>
  Object.entries(values).map(([what, value]) => ({ option, what, value, kind }));

const loneSurrogate = "a\ud800b";

const acquisition: Wrong[] = [
  ...numbers("ttlMs", 10),
  ...numbers("waitMs", 0),
  ...numbers("attemptTimeoutMs", 1),
  ...numbers("maxHoldMs", 1),
  ...numbers("retryCount", 0),
  ...wrong("retry", TypeError, { "a number": 5, null: null, "a function": () => 5, "an object": {}, "a string": "100" }),
  ...wrong("autoRenew", TypeError, { "a string": "yes", null: null, "a number": 1 }),
  ...wrong("queue", TypeError, { "a string": "yes", null: null, "true without the capability": true }),
];

const lockOnly: Wrong[] = [
  ...acquisition,
  ...wrong("signal", TypeError, { "an object": { aborted: false }, null: null, "a controller": new AbortController() }),
  ...wrong("mode", TypeError, { "another word": "Exclusive", null: null, "a number": 1 }),
  ...wrong("owner", TypeError, { "a number": 1, null: null, "a buffer": Buffer.from("me") }),
  ...wrong("owner", RangeError, { empty: "", "256 bytes": "é".repeat(128), "with a lone surrogate": loneSurrogate }),
  ...wrong("metadata", TypeError, { "an object": {}, null: null, "a number": 5 }),
  ...wrong("metadata", RangeError, {
    "1,025 bytes": "x".repeat(1_025),
    "of wide characters": "é".repeat(513),
    "with a lone surrogate": loneSurrogate,
  }),
];

const provider: Wrong[] = [
  ...acquisition,
  ...numbers("sweepIntervalMs", 0),
  ...numbers("heldLongMs", 1),
  ...wrong("instanceId", RangeError, { empty: "", "74 bytes": "x".repeat(74), "with a blank": "a b", "with an accent": "hôte" }),
  ...wrong("handOff", TypeError, { true: true, null: null, "a number": 3, "with an unknown name": { most: 3 } }),
  ...wrong("logger", TypeError, { "a function": () => {}, null: null, incomplete: { info: () => {} } }),
  ...wrong("clock", TypeError, { null: null, "an object": {}, "one that has no timers": { now: () => 0 } }),
  ...wrong("failureRate", TypeError, { null: null, false: false, "an empty string": "" }),
  ...wrong("unknownOption", TypeError, { something: 1 }),
];

const shown = (rows: Wrong[]) => rows.map((row) => [row.option, row.what, row] as const);

describe("lock()", () => {
  test.each(shown(lockOnly))("refuses %s that is %s", async (_option, _what, { option, value, kind }) => {
    const { driver, locks } = scenario();
    for (const call of [locks.lock("a", { [option]: value }), locks.withLock("a", { [option]: value }, () => {})]) {
      const error = await errorOf(call);
      expect(error).toBeInstanceOf(kind);
      expect((error as Error).message).toContain(option);
    }
    expect(driver.calls).toHaveLength(0);
  });

  test.each([
    ["a misspelt name", { ttl: 5_000 }, "ttl"],
    ["retryDelayMs without retryCount", { retryDelayMs: 5 }, "retryCount"],
    ["retry and retryCount together", { retry: [1], retryCount: 2 }, "retryCount"],
    ["a limit without mode shared", { limit: 2 }, "shared"],
    ["a retryDelayMs that is negative", { retryCount: 1, retryDelayMs: -1 }, "retryDelayMs"],
    ["a retryDelayMs that is no number", { retryCount: 1, retryDelayMs: "5" }, "retryDelayMs"],
    ["a limit of 0", { mode: "shared", limit: 0 }, "limit"],
    ["a limit of a half", { mode: "shared", limit: 1.5 }, "limit"],
    ["a limit above a million", { mode: "shared", limit: 1_000_001 }, "limit"],
    ["a limit that is no number", { mode: "shared", limit: "3" }, "limit"],
    ["no object", "5s", "options"],
    ["null", null, "options"],
  ])("refuses %s", async (_what, options, named) => {
    const { driver, locks } = scenario();
    const error = await errorOf(locks.lock("a", options as LockOptions));
    expect(error instanceof TypeError || error instanceof RangeError).toBe(true);
    expect((error as Error).message).toContain(named);
    expect(driver.calls).toHaveLength(0);
  });

  test("shows the mode that is none", async () => {
    const { locks } = scenario();
    const { message } = (await errorOf(locks.lock("a", { mode: "read" as never }))) as Error;
    expect(message).toBe('mode must be "exclusive" or "shared", got "read"');
  });

  test("takes the extremes that are allowed", async () => {
    const { clock, driver, locks } = scenario();
    const longest = 2 ** 31 - 1;
    for (const options of [
      { ttlMs: 10 },
      { ttlMs: longest, waitMs: longest, attemptTimeoutMs: longest, maxHoldMs: longest },
      { retryCount: 0, retryDelayMs: 0 },
      { mode: "shared", limit: 1 },
      { mode: "shared", limit: 1_000_000 },
      { owner: "é".repeat(127) },
      { metadata: "x".repeat(1_024) },
      { metadata: "" },
      { ttlMs: 10.5, waitMs: 0.5 },
    ] satisfies LockOptions[]) {
      const lock = await clock.until(locks.lock("a", options));
      expect(lock.isHeld).toBe(true);
      await clock.until(lock.unlock());
    }
    expect(driver.table.size).toBe(0);
  });

  test("takes undefined as if it were not there", async () => {
    const { clock, driver, locks } = scenario();
    const nothing = { ttlMs: undefined, waitMs: undefined, owner: undefined, mode: undefined, signal: undefined, limit: undefined };
    await clock.until(locks.lock("a", nothing as unknown as LockOptions));
    expect(driver.claimsOf("acquire")[0]).toMatchObject({ ttlMs: 30_000, mode: "exclusive" });
  });
});

describe("tryLock()", () => {
  test.each(["waitMs", "retry", "retryCount", "retryDelayMs", "queue"])("does not know %s: it does not wait", async (option) => {
    const { locks } = scenario();
    const error = await errorOf(locks.tryLock("a", { [option]: 1 }));
    expect(error).toBeInstanceOf(TypeError);
    expect((error as Error).message).toContain(option);
  });

  test.each(shown(numbers("ttlMs", 10)))("refuses %s that is %s", async (_option, _what, { value, kind }) => {
    const { locks } = scenario();
    expect(await errorOf(locks.tryLock("a", { ttlMs: value as number }))).toBeInstanceOf(kind);
  });
});

describe("createLockProvider()", () => {
  test.each(shown(provider))("refuses %s that is %s", (_option, _what, { option, value, kind }) => {
    const clock = new VirtualClock();
    const create = () => createLockProvider(new ScriptedDriver(clock), { clock, [option]: value } as ProviderOptions);
    expect(create).toThrow(kind);
    expect(create).toThrow(option);
    expect(clock.pending).toBe(0);
  });

  test.each([
    ["handOff.max", { max: -1 }],
    ["handOff.max", { max: 1_024 }],
    ["handOff.max", { max: 1.5 }],
    ["handOff.max", { max: "3" }],
    ["handOff.maxMs", { maxMs: Number.NaN }],
    ["handOff.maxMs", { maxMs: 2 ** 31 }],
  ])("refuses a wrong %s: %j", (name, handOff) => {
    expect(() => createLockProvider(new ScriptedDriver(new VirtualClock()), { handOff } as ProviderOptions)).toThrow(name);
  });

  test.each([[undefined], [null], [{}], ["sqlite:./dlock.db"]])("refuses %j as a driver, and names who takes URLs", (driver) => {
    expect(() => createLockProvider(driver as never)).toThrow(TypeError);
    expect(() => createLockProvider(driver as never)).toThrow(/driver .* createLockProviderFromUrl/);
  });

  test("makes its options the defaults of every lock", async () => {
    const { clock, driver, locks } = scenario({ ttlMs: 1_234, attemptTimeoutMs: 77, instanceId: "here" });
    const lock = await clock.until(locks.lock("a"));
    expect(driver.claimsOf("acquire")[0]).toMatchObject({ ttlMs: 1_234 });
    expect(driver.of("acquire")[0]?.timeoutMs).toBeLessThanOrEqual(77);
    expect(lock.owner).toMatch(/^here-[0-9a-f]{32}#0$/);
    expect(locks.instanceId).toBe("here");
  });
});

describe("keys", () => {
  const methods: [string, (key: string) => Promise<unknown>][] = [];
  const { locks } = scenario();
  methods.push(["lock", (key) => locks.lock(key)]);
  methods.push(["tryLock", (key) => locks.tryLock(key)]);
  methods.push(["withLock", (key) => locks.withLock(key, () => {})]);
  methods.push(["tryWithLock", (key) => locks.tryWithLock(key, () => {})]);
  methods.push(["isLocked", (key) => locks.isLocked(key)]);
  methods.push(["inspect", (key) => locks.inspect(key)]);
  methods.push(["renew", (key) => locks.renew(key, "me", 1_000)]);
  methods.push(["unlock", (key) => locks.unlock(key, "me")]);

  test.each(methods)("of %s() are 1 to 255 bytes of well-formed UTF-8", async (_name, call) => {
    const bad = ["", "x".repeat(256), "é".repeat(128), "👍".repeat(64), loneSurrogate, "\udc00", undefined, null, 5, ["a"]];
    for (const key of bad) {
      const error = await errorOf(call(key as string));
      expect(error).toBeInstanceOf(InvalidLockKeyError);
      expect(error).toMatchObject({ code: "DLOCK_INVALID_KEY" });
      expect((error as Error).message).toContain("255 bytes");
    }
  });

  test("of exactly 255 bytes, and of any characters, are fine", async () => {
    const { clock, locks: provider } = scenario();
    for (const key of ["x".repeat(255), `${"é".repeat(127)}x`, "👍".repeat(63), " ", "\0", "a\nb", "*?{}[]"]) {
      expect((await clock.until(provider.lock(key))).key).toBe(key);
    }
  });
});

describe("other arguments", () => {
  test("of refresh, autoRefresh, renew, unlock, list and on are checked", async () => {
    const { clock, locks } = scenario();
    const lock = await clock.until(locks.lock("a"));
    for (const { value, kind } of numbers("ttlMs", 10)) {
      expect(await errorOf(lock.refresh(value as number))).toBeInstanceOf(kind);
      expect(await errorOf(locks.renew("a", lock.owner, value as number))).toBeInstanceOf(kind);
    }
    for (const option of ["intervalMs", "timeoutMs", "maxHoldMs"]) {
      for (const { value, kind } of numbers(option, 1)) {
        const error = await errorOf(lock.autoRefresh({ [option]: value }));
        expect(error).toBeInstanceOf(kind);
        expect((error as Error).message).toContain(option);
      }
    }
    expect(await errorOf(lock.autoRefresh({ interval: 5 } as never))).toBeInstanceOf(TypeError);
    for (const owner of [undefined, 5, "", "x".repeat(256), loneSurrogate]) {
      expect(await errorOf(locks.renew("a", owner as string, 1_000))).toMatchObject({ message: expect.stringContaining("owner") });
      expect(await errorOf(locks.unlock("a", owner as string))).toMatchObject({ message: expect.stringContaining("owner") });
    }
    expect(
      await errorOf(
        locks
          .list({ prefix: 5 as never })
          [Symbol.asyncIterator]()
          .next(),
      ),
    ).toBeInstanceOf(TypeError);
    expect(() => locks.on("lost", "f" as never)).toThrow(TypeError);
    expect(lock.isHeld).toBe(true);
  });

  test("of the retry strategies are checked", () => {
    for (const { value, kind } of numbers("intervalMs", 0)) {
      expect(() => fixedInterval(value as number)).toThrow(kind);
      expect(() => exponentialBackoff(value as number)).toThrow(kind);
      expect(() => linearBackoff(value as number, 1)).toThrow(kind);
      expect(() => linearBackoff(1, value as number)).toThrow(kind);
      expect(() => fixedInterval(1, { capMs: value as number })).toThrow("capMs");
      if (value !== Number.POSITIVE_INFINITY) expect(() => fixedInterval(1, { maxRetries: value as number })).toThrow("maxRetries");
    }
    for (const jitter of [-0.1, 1.1, Number.NaN, "1"]) expect(() => fixedInterval(1, { jitter: jitter as number })).toThrow("jitter");
    for (const multiplier of [0.5, 1_001, Number.NaN, "2"])
      expect(() => exponentialBackoff(1, { multiplier: multiplier as number })).toThrow("multiplier");
    expect(() => fixedInterval(1, { random: 0.5 as never })).toThrow("random");
    expect(() => fixedInterval(1, { cap: 5 } as never)).toThrow("cap");
  });
});

describe("a driver", () => {
  const whole = (): Record<string, unknown> => {
    const driver = new ScriptedDriver(new VirtualClock());
    const methods = ["acquire", "extend", "release", "inspect", "list", "sweep", "ping", "close"] as const;
    return {
      name: "script",
      capabilities: driver.capabilities,
      ...Object.fromEntries(methods.map((method) => [method, driver[method].bind(driver)])),
    };
  };
  const made = (driver: Record<string, unknown>) => () => createLockProvider(driver as never, { sweepIntervalMs: 0 });

  test("with all methods and capabilities is taken", async () => {
    await made(whole())().close();
  });

  test.each(["acquire", "extend", "release", "inspect", "list", "sweep", "ping", "close"])("without %s is refused at once", (method) => {
    expect(made({ ...whole(), [method]: undefined })).toThrow(TypeError);
  });

  test.each([
    ["maxBatch", 0, RangeError],
    ["maxBatch", Number.NaN, RangeError],
    ["minTtlMs", "1", TypeError],
    ["ttlStepMs", -1, RangeError],
    ["wakeMs", null, TypeError],
  ])("with capabilities.%s %j is refused by name", (name, value, type) => {
    const driver = whole();
    const wrong = made({ ...driver, capabilities: { ...(driver.capabilities as object), [name]: value } });
    expect(wrong).toThrow(type);
    expect(wrong).toThrow(`driver.capabilities.${name}`);
  });

  test("without capabilities is refused by name", () => {
    expect(made({ ...whole(), capabilities: undefined })).toThrow("driver.capabilities");
  });
});
