// Whatever comes back from a server, a proxy or a client that is in the middle of something else: an answer that can be relied upon, or a
// DriverError that says "unknown". A malformed answer is never a yes.
import { type DriverError, type Holder, isDriverError, type LockDriver } from "@dlock/core";
import fc from "fast-check";
import { Redis } from "ioredis";
import { describe, expect, it } from "vitest";
import { backend } from "../src/backend.ts";
import { redisDriver } from "../src/index.ts";
import { agreement } from "../src/protocol.ts";
import { call, exclusive } from "./claims.ts";

/** A client that says it is connected, and answers scripts and scans with what it is told. */
class ScriptedRedis extends Redis {
  reply: unknown;

  constructor() {
    super({ lazyConnect: true });
    this.status = "ready";
    this.stream = { writable: true, bytesRead: 0, destroyed: false } as never;
  }

  override sendCommand(command: { name: string; args: unknown[] }): Promise<unknown> {
    if (command.name === "get") return Promise.resolve(agreement);
    return this.reply instanceof Error ? Promise.reject(this.reply) : Promise.resolve(this.reply);
  }
}

/** What RESP can say, and what a careless client library might make of it. */
const scalar = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    undefined,
    "",
    "OK",
    "QUEUED",
    "0",
    "1",
    "-1",
    "!",
    "!FOREIGN",
    "x",
    "s",
    Number.NaN,
    Number.POSITIVE_INFINITY,
    -1,
    0,
    1,
    2,
  ),
  fc.constantFrom<unknown>(2 ** 53, 1e300, 1n, true, {}, "9".repeat(16), "9".repeat(400), "1".repeat(16), "1.5", "-5", "0x10", " 1"),
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.integer(),
);
const reply: fc.Arbitrary<unknown> = fc.oneof(
  scalar,
  fc.array(fc.oneof(scalar, fc.array(scalar, { maxLength: 5 })), { maxLength: 5 }),
  // The time first, as in the right answers.
  fc.array(fc.oneof(scalar, fc.array(scalar, { maxLength: 5 })), { maxLength: 3 }).map((rest) => [1_700_000_000_000_000, ...rest]),
  fc.constantFrom("ERR unknown", "WRONGTYPE", "").map((message) => Object.assign(new Error(message), { name: "ReplyError" })),
  fc.constantFrom(null, "text", 5).map((cause) => Object.assign(new Error("odd"), { cause })),
);

function scripted(answer: unknown): LockDriver {
  const client = new ScriptedRedis();
  client.reply = answer;
  return redisDriver({ client });
}

async function settled<T>(work: () => Promise<T>): Promise<T | DriverError> {
  try {
    return await work();
  } catch (error) {
    if (!isDriverError(error)) throw new Error("not a DriverError", { cause: error });
    return error;
  }
}

function expectHolder({ owner, token, mode, remainingMs, heldMs, metadata }: Holder): void {
  expect([typeof owner, typeof token, typeof remainingMs, typeof heldMs]).toEqual(["string", "bigint", "number", "number"]);
  expect(token >= 0n && token < 2n ** 53n && remainingMs >= 0 && heldMs >= 0).toBe(true);
  expect(["exclusive", "shared"]).toContain(mode);
  expect(["string", "undefined"]).toContain(typeof metadata);
}

const claims = [exclusive("a"), exclusive("b")];

describe("any reply", () => {
  it("to acquire is a grant with a token, a refusal, or an error", async () => {
    await fc.assert(
      fc.asyncProperty(reply, async (answer) => {
        const outcomes = await settled(() => scripted(answer).acquire(claims, call));
        if (isDriverError(outcomes)) return;
        expect(outcomes).toHaveLength(2);
        for (const outcome of outcomes) {
          if (isDriverError(outcome)) continue;
          if (outcome.acquired) {
            expect(outcome.token > 0n && outcome.token < 2n ** 53n).toBe(true);
            expect(outcome.ttlMs).toBe(60_000);
          } else {
            expect(outcome.retryAfterMs === undefined || outcome.retryAfterMs >= 0).toBe(true);
            if (outcome.holder !== undefined) expectHolder(outcome.holder);
          }
        }
      }),
      { numRuns: 3_000 },
    );
  });

  it.each(["extend", "release"] as const)("to %s is yes only for the script's own yes", async (operation) => {
    const yes = (answer: unknown, index: number) =>
      Array.isArray(answer) ? answer.length === 2 && String(answer[index]) === "1" : ["1", 1].includes(answer as never);
    await fc.assert(
      fc.asyncProperty(reply, async (answer) => {
        const asked = claims.map(({ key, owner, ttlMs }) => ({ key, owner, ttlMs, token: 5n, longestMs: ttlMs }));
        const outcomes = await settled(() => scripted(answer)[operation](asked, call));
        if (isDriverError(outcomes)) return;
        expect(outcomes).toHaveLength(2);
        for (const [index, outcome] of outcomes.entries()) {
          if (outcome === true) expect(yes(answer, index)).toBe(true);
          else if (!isDriverError(outcome)) expect(outcome).toBe(false);
        }
      }),
      { numRuns: 3_000 },
    );
  });

  it.each([
    ["nothing", null],
    ["OK", "OK"],
    ["what a client in a transaction answers", "QUEUED"],
    ["a list for one claim more", [1, 1, 1]],
    ["a list for one claim less", [1]],
  ])("to extend and release that is %s is unknown", async (_what, answer) => {
    for (const operation of ["extend", "release"] as const) {
      const asked = claims.map(({ key, owner, ttlMs }) => ({ key, owner, ttlMs, token: 5n, longestMs: ttlMs }));
      for (const outcome of await scripted(answer)[operation](asked, call))
        expect(outcome).toMatchObject({
          dlockDriverError: true,
          applied: "unknown",
          message: expect.stringContaining("none of dlock's scripts"),
        });
    }
  });

  it("to inspect is holders, or an error", async () => {
    await fc.assert(
      fc.asyncProperty(reply, async (answer) => {
        const found = await settled(() => scripted(answer).inspect("a", call));
        if (!isDriverError(found)) for (const holder of found) expectHolder(holder);
      }),
      { numRuns: 3_000 },
    );
  });

  it("to list, sweep and ping is records, a number and silence, or an error", async () => {
    await fc.assert(
      fc.asyncProperty(reply, async (answer) => {
        const listed = await settled(async () => {
          for await (const { key, ...holder } of scripted(answer).list({})) {
            expect(typeof key).toBe("string");
            expectHolder(holder);
          }
        });
        expect(listed === undefined || isDriverError(listed)).toBe(true);
        const swept = await settled(() => scripted(answer).sweep(call));
        expect(swept === 0 || isDriverError(swept)).toBe(true);
        const pinged = await settled(() => scripted(answer).ping(call));
        expect(pinged === undefined || isDriverError(pinged)).toBe(true);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe("any option", () => {
  it("of a URL makes a driver that closes, or is refused with a RangeError that shows no password", async () => {
    const part = fc.oneof(
      fc.string({ maxLength: 8 }),
      fc.constantFrom("%", "%zz", "0", "-1", "1e3", "[::1]:7", "true", "a:b:c", ":", "x:99999999"),
    );
    const url = fc
      .record({
        scheme: fc.constantFrom("redis:", "rediss:", "http:"),
        user: fc.constantFrom("", "me:hunter2@", "%zz:hunter2@", ":hunter2%@"),
        path: part,
        query: fc.array(
          fc.tuple(fc.constantFrom("prefix", "sentinel", "cluster", "node", "sentinelUsername", "other", "__proto__"), part),
          { maxLength: 3 },
        ),
      })
      .map(({ scheme, user, path, query }) => {
        const made = new URL(`${scheme}//${user}localhost`);
        made.pathname = path;
        for (const [name, value] of query) made.searchParams.append(name, value);
        return made;
      });
    await fc.assert(
      fc.asyncProperty(url, async (given) => {
        let driver: LockDriver;
        try {
          driver = backend.fromUrl(given);
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
          expect(String(error)).not.toContain("hunter2");
          return;
        }
        await driver.close();
      }),
      { numRuns: 1_000 },
    );
  });

  it("sentinel without a name is refused by name", () => {
    expect(() => backend.fromUrl(new URL("redis://localhost?sentinel="))).toThrow(/^the parameter "sentinel" is the name of a master/);
  });

  it.each(["client", "connection", "cluster", "url", "prefix", "onWarning", "clock"])("%s is used, or refused by name", async (name) => {
    const value = fc.oneof(
      fc.constantFrom<unknown>(null, 5, "x", true, [], {}, Symbol("s"), () => {}, { nodes: 5 }, "redis://localhost", "lock{"),
      fc.anything({ maxDepth: 1 }),
    );
    await fc.assert(
      fc.asyncProperty(value, async (given) => {
        const rest = ["client", "connection", "cluster", "url"].includes(name) ? {} : { connection: {} };
        try {
          await redisDriver({ ...rest, [name]: given } as never).close();
        } catch (error) {
          expect(error instanceof TypeError || error instanceof RangeError).toBe(true);
          expect((error as Error).message).toMatch(new RegExp(`${name}|redisDriver needs|URL`));
          expect((error as Error).message).not.toMatch(/is not a function|Cannot (read|convert|destructure)|not iterable/);
        }
      }),
      { numRuns: 200 },
    );
  });
});
