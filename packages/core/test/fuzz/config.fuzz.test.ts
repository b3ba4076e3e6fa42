/** Any configuration, URL, duration or strategy: used, or refused with a typed error that names it; what was opened is closed, no secret is shown. */
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import {
  closeOnExit,
  createLockManager,
  createLockManagerFromConfig,
  createLockProvider,
  createLockProviderFromConfig,
  createLockProviderFromUrl,
  exponentialBackoff,
  fixedInterval,
  type LockManager,
  type LockProvider,
  linearBackoff,
  parseBackendUrl,
  parseDuration,
  registerBackend,
} from "../../src/index.ts";
import { ScriptedDriver } from "../support/scripted-driver.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { anything, expectDocumented, Made, objectOf, outcomeOf, type Some, someOf } from "./hostile.ts";

/** Every driver that a backend has made, so that those left open are found. */
const drivers: ScriptedDriver[] = [];
const made = () => {
  const driver = new ScriptedDriver(new VirtualClock());
  drivers.push(driver);
  return driver;
};

beforeAll(() => {
  registerBackend("memory", { fromUrl: made, fromConfig: made });
  for (const name of ["redis", "fuzz"]) registerBackend(name, { fromUrl: made });
});

/** Uses what was made, or judges the refusal; nothing stays open. */
async function expectUsedOrRefused(call: () => unknown, names: readonly string[]): Promise<void> {
  drivers.splice(0);
  const outcome = await outcomeOf(call);
  if (outcome.ok) {
    const { names: all } = outcome.value as Partial<LockManager>;
    if (all === undefined) expect((outcome.value as LockProvider).stats().active).toBe(0);
    await (outcome.value as LockProvider).close();
  } else expectDocumented(outcome.error, names);
  for (const { closed } of drivers) expect(closed).toBe(1);
}

const secret = "hunter2";
const sections = ["mysql", "redis", "etcd", "sqlite", "memory"];
const configOf = (some: Some): Record<string, unknown> => ({ provider: "memory", ...objectOf(some) });

test("any value in a config, or in a config's place, is used or refused by its path", async () => {
  const entries = someOf(["provider", ...sections, "defaultTtlMs", "defaultRetryCount", "defaultRetryDelayMs", "other", "__proto__"]);
  await fc.assert(
    fc.asyncProperty(fc.oneof({ weight: 6, arbitrary: entries }, { weight: 1, arbitrary: anything }), async (config) => {
      const names = config instanceof Made ? ["config"] : config.map(([name]) => `config.${name}`);
      await expectUsedOrRefused(
        () => createLockProviderFromConfig((config instanceof Made ? config.make() : configOf(config)) as never),
        names,
      );
    }),
    { numRuns: 1_000 },
  );
});

test("any value in a section is used or refused by its path", async () => {
  await fc.assert(
    fc.asyncProperty(someOf(["url", "table", "__proto__"]), async (section) => {
      const config = { provider: "redis", redis: objectOf(section) };
      await expectUsedOrRefused(() => createLockProviderFromConfig(config), ["config.redis"]);
    }),
    { numRuns: 500 },
  );
});

test("any configs of a manager are used or refused by their path", async () => {
  await fc.assert(
    fc.asyncProperty(someOf(["orders", "jobs", "__proto__", ""]), async (configs) => {
      await expectUsedOrRefused(() => createLockManagerFromConfig(objectOf(configs) as never), ["config"]);
    }),
    { numRuns: 500 },
  );
});

describe("any URL", () => {
  const part = fc.oneof(
    fc.string({ maxLength: 12 }),
    fc.string({ unit: "binary", maxLength: 8 }),
    fc.constantFrom("@", "%", "%00", ":", "//", "?", "#", "[::1]", ".."),
  );
  const url = fc
    .record({
      scheme: fc.oneof(fc.constantFrom("memory:", "redis://", "rediss://", "fuzz:", "sqllite:", "http://", "javascript:", "", "://"), part),
      user: fc.option(fc.constant(`user:${secret}@`), { nil: "" }),
      rest: fc.array(part, { maxLength: 4 }),
      query: fc.option(fc.tuple(fc.constantFrom("ttl", "wait", "db", "__proto__"), part), { nil: undefined }),
    })
    .map(({ scheme, user, rest, query }) => `${scheme}${user}${rest.join("")}${query === undefined ? "" : `?${query.join("=")}`}`);

  test("makes a provider, or is refused by name and not shown", async () => {
    await fc.assert(
      fc.asyncProperty(url, async (given) => {
        await expectUsedOrRefused(async () => {
          try {
            return await createLockProviderFromUrl(given);
          } catch (error) {
            expect(String(error)).not.toContain(secret);
            throw error;
          }
        }, ["url", "ttlMs", "waitMs"]);
      }),
      { numRuns: 2_000 },
    );
  });

  test("that is none is refused by name", async () => {
    await fc.assert(
      fc.asyncProperty(anything, async ({ make }) => {
        await expectUsedOrRefused(() => createLockProviderFromUrl(make() as never), ["url"]);
        const parsed = await outcomeOf(() => parseBackendUrl("the URL", make() as never));
        if (!parsed.ok) expectDocumented(parsed.error, ["the URL"]);
      }),
      { numRuns: 500 },
    );
  });

  test.each(["sqllite:./locks.db", "postgres://localhost", "javascript:alert(1)"])(
    "of a backend that is not there names those that are: %s",
    async (given) => {
      await expect(createLockProviderFromUrl(given)).rejects.toMatchObject({
        code: "DLOCK_BACKEND_NOT_INSTALLED",
        message: expect.stringMatching(/mysql, redis, etcd, sqlite, memory/),
      });
    },
  );
});

test("whatever a backend makes is a driver or refused", async () => {
  let answer: unknown;
  registerBackend("junk", { fromUrl: () => answer as never });
  await fc.assert(
    fc.asyncProperty(anything, fc.boolean(), async ({ make }, rejects) => {
      answer = rejects ? Promise.reject(make()) : make();
      const outcome = await outcomeOf(() => createLockProviderFromUrl("junk:"));
      // What it rejects with is its own affair.
      if (!outcome.ok && !rejects) expectDocumented(outcome.error, ["driver"]);
    }),
    { numRuns: 300 },
  );
});

interface Plain {
  readonly names: readonly string[];
  call(value: never): unknown;
}
const closable = { close: () => Promise.resolve() };
const drawn = (strategy: Iterable<number>) => {
  let drawn = 0;
  for (const _ of strategy) if (++drawn > 20) break;
};
const plain: Record<string, Plain> = {
  "the value of parseDuration": {
    names: ["the value"],
    call: (value) => expect(parseDuration("the value", value)).toBeGreaterThanOrEqual(0),
  },
  "the interval of fixedInterval": { names: ["intervalMs"], call: (value) => drawn(fixedInterval(value)) },
  "the options of fixedInterval": { names: ["options"], call: (value) => drawn(fixedInterval(1, value)) },
  "the first of exponentialBackoff": { names: ["initialMs"], call: (value) => drawn(exponentialBackoff(value)) },
  "the options of exponentialBackoff": { names: ["options"], call: (value) => drawn(exponentialBackoff(1, value)) },
  "the first of linearBackoff": { names: ["initialMs"], call: (value) => drawn(linearBackoff(value, 1)) },
  "the increment of linearBackoff": { names: ["incrementMs"], call: (value) => drawn(linearBackoff(1, value)) },
  "the options of linearBackoff": { names: ["options"], call: (value) => drawn(linearBackoff(1, 1, value)) },
  "the name of registerBackend": { names: ["name"], call: (value) => registerBackend(value, { fromUrl: made }) },
  "the backend of registerBackend": { names: ["backend"], call: (value) => registerBackend("junk", value) },
  "what closeOnExit closes": { names: ["closable"], call: (value) => closeOnExit(value)() },
  "the options of closeOnExit": { names: ["options"], call: (value) => closeOnExit(closable, value)() },
  "the signals of closeOnExit": { names: ["signals"], call: (value) => closeOnExit(closable, { signals: value })() },
  "a signal of closeOnExit": { names: ["signals"], call: (value) => closeOnExit(closable, { signals: [value] })() },
  "the timeoutMs of closeOnExit": { names: ["timeoutMs"], call: (value) => closeOnExit(closable, { timeoutMs: value })() },
  "the name of a manager's provider": {
    names: ["name"],
    call: (value) => {
      const manager = createLockManager();
      manager.register(value, createLockProvider(made(), { sweepIntervalMs: 0 }));
      return manager.get(value).close();
    },
  },
  "a manager's provider": { names: ["provider"], call: (value) => createLockManager().register("a", value) },
  "the name a manager is asked for": { names: ["name", "provider"], call: (value) => createLockManager().get(value) },
};

describe("any value", () => {
  test.each(Object.entries(plain))("as %s is accepted or refused by name", async (_what, { names, call }) => {
    await fc.assert(
      fc.asyncProperty(anything, async ({ make }) => {
        const outcome = await outcomeOf(() => call(make() as never));
        if (!outcome.ok) expectDocumented(outcome.error, names);
      }),
      { numRuns: 300 },
    );
  });

  test.each(["maxRetries", "capMs", "jitter", "random", "multiplier"])(
    "as %s of a strategy is accepted or refused by name",
    async (name) => {
      await fc.assert(
        fc.asyncProperty(anything, async ({ make }) => {
          const outcome = await outcomeOf(() => drawn(exponentialBackoff(1, { [name]: make() })));
          if (!outcome.ok) expectDocumented(outcome.error, [name]);
        }),
        { numRuns: 300 },
      );
    },
  );

  test.each(["SIGKILL", "SIGSTOP"] as const)("%s, which no process can hear, is refused", (signal) => {
    const before = process.listenerCount("beforeExit");
    expect(() => closeOnExit(closable, { signals: ["SIGHUP", signal] })).toThrow(/signals must be/);
    expect([process.listenerCount("beforeExit"), process.listenerCount("SIGHUP")]).toEqual([before, 0]);
  });
});
