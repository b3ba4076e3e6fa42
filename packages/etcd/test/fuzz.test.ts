// Whatever an etcd, a proxy or another program's record under our prefix holds: an answer that can be relied upon, or a DriverError; in time.
import { type DriverError, type Holder, isDriverError, type LockDriver } from "@dlock/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { backend } from "../src/backend.ts";
import { etcdDriver } from "../src/index.ts";

/** The replies by method, as etcd3's protobuf loader makes them of bytes. */
type Replies = Readonly<Record<string, unknown>>;

/** A client of etcd3 whose only member answers what it is told; after a few answers it is silent, as a server that is asked for ever. */
function scripted(replies: Replies, strategy: "txn" | "mutex"): LockDriver {
  let left = 50;
  const makeUnaryRequest = (
    path: string,
    _serialize: unknown,
    _read: unknown,
    _request: object,
    _options: object,
    done: (error: null, reply: unknown) => void,
  ) => {
    if (left-- > 0) queueMicrotask(() => done(null, replies[path]));
    else done(Object.assign(new Error("deadline exceeded"), { code: 4, details: "deadline exceeded" }) as never, undefined);
  };
  const methods = Object.fromEntries(["txn", "range", "leaseGrant", "leaseTimeToLive"].map((name) => [name, { path: name }]));
  const service = { ...methods, makeUnaryRequest, getChannel: () => ({ getTarget: () => "fuzz:2379" }) };
  return etcdDriver({ client: { pool: { hosts: [{ getServiceClient: () => service }], options: {} } } as never, strategy });
}

const number = fc.oneof(fc.constantFrom("0", "-1", "1", "5", "9007199254740993", "9223372036854775807"), fc.integer().map(String));
const value = fc
  .oneof(
    fc.constantFrom(
      "",
      "{}",
      "null",
      "[]",
      '"text"',
      "5",
      "{",
      '{"owner":5}',
      '{"owner":"me"}',
      '{"owner":"me","ttl":"x","age":null,"held":{}}',
    ),
    fc.constantFrom(
      '{"owner":"me","ttl":5000,"age":0,"held":0}',
      '{"owner":"other","ttl":5000,"age":0,"held":0,"meta":5}',
      '{"owner":"me","ttl":-1,"age":1e308,"held":-5}',
    ),
    fc.string({ unit: "binary", maxLength: 20 }),
  )
  .map((text) => Buffer.from(text));
const name = fc
  .oneof(fc.constantFrom("a\xfftx", "a\xffty0", "a\xffmx", "a\xffms0", "a\xffmqme", "a\xff", "\xff", ""), fc.string({ maxLength: 5 }))
  .map((text) => Buffer.from(`lock:${text}`, "latin1"));
const kv = fc.record({ key: name, value, create_revision: number, mod_revision: number, lease: number });
/** The parts that a message lacks are null, except of a transaction, which has a codec of its own. */
const header = fc.oneof({ weight: 5, arbitrary: fc.record({ revision: number }) }, { weight: 1, arbitrary: fc.constant(null) });
const known = fc.record({ revision: number });
const range = (head: fc.Arbitrary<unknown>) =>
  fc.record({ header: head, kvs: fc.array(kv, { maxLength: 3 }), more: fc.boolean(), count: number });
const nested = fc.record({
  header: known,
  succeeded: fc.boolean(),
  responses: fc.array(fc.record({ response_range: range(known) }), { maxLength: 2 }),
});
const operation = fc.oneof(fc.record({ response_txn: nested }), fc.record({ response_range: range(known) }), fc.constant({}));
const replies: fc.Arbitrary<Replies> = fc.record({
  txn: fc.record({ header: known, succeeded: fc.boolean(), responses: fc.array(operation, { maxLength: 3 }) }),
  range: range(header),
  leaseGrant: fc.oneof(fc.record({ ID: number, TTL: number }), fc.constant({ ID: "7", TTL: "100" })),
  leaseTimeToLive: fc.record({ TTL: number, grantedTTL: number }),
});

const call = { timeoutMs: 200 };
const claim = (key: string, mode: "exclusive" | "shared") => ({
  key,
  owner: "me",
  ttlMs: 5_000,
  mode,
  ...(mode === "shared" ? { limit: 2 } : {}),
});

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
  expect(token > 0n).toBe(true);
  expect(["exclusive", "shared"]).toContain(mode);
  expect(["string", "undefined"]).toContain(typeof metadata);
  expect(Number.isNaN(remainingMs) || Number.isNaN(heldMs)).toBe(false);
}

describe.each(["txn", "mutex"] as const)("any reply, with the strategy %s,", (strategy) => {
  it("to acquire is a grant with a token, a refusal, or an error", async () => {
    await fc.assert(
      fc.asyncProperty(replies, fc.constantFrom("exclusive", "shared"), async (given, mode) => {
        const outcomes = await settled(() => scripted(given, strategy).acquire([claim("a", mode), claim("b", mode)], call));
        if (isDriverError(outcomes)) return;
        expect(outcomes).toHaveLength(2);
        for (const outcome of outcomes) {
          if (isDriverError(outcome)) continue;
          if (outcome.acquired) {
            expect(outcome.token > 0n).toBe(true);
            expect(outcome.ttlMs).toBeGreaterThanOrEqual(5_000);
          } else {
            expect(outcome.retryAfterMs === undefined || outcome.retryAfterMs >= 0).toBe(true);
            if (outcome.holder !== undefined) expectHolder(outcome.holder);
          }
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it.each(["extend", "release"] as const)("to %s is a verdict for each claim, or an error", async (operation) => {
    await fc.assert(
      fc.asyncProperty(replies, async (given) => {
        const asked = ["a", "b"].map((key) => ({ key, owner: "me", token: 5n, ttlMs: 5_000, longestMs: 5_000 }));
        const outcomes = await settled(() => scripted(given, strategy)[operation](asked, call));
        if (isDriverError(outcomes)) return;
        expect(outcomes).toHaveLength(2);
        for (const outcome of outcomes) if (!isDriverError(outcome)) expect(typeof outcome).toBe("boolean");
      }),
      { numRuns: 1_000 },
    );
  });

  it("to inspect, list and ping is holders, records and silence, or an error", async () => {
    await fc.assert(
      fc.asyncProperty(replies, async (given) => {
        const found = await settled(() => scripted(given, strategy).inspect("a", call));
        if (!isDriverError(found)) for (const holder of found) expectHolder(holder);
        await settled(async () => {
          let listed = 0;
          for await (const { key, ...holder } of scripted(given, strategy).list({})) {
            expect(typeof key).toBe("string");
            expectHolder(holder);
            if (++listed > 100) break;
          }
        });
        await settled(() => scripted(given, strategy).ping(call));
      }),
      { numRuns: 500 },
    );
  });
});

describe("any option", () => {
  it("of a URL makes a driver that closes, or is refused with a RangeError that shows no password", async () => {
    const part = fc.oneof(fc.string({ maxLength: 8 }), fc.constantFrom("%", "%zz", "true", "[::1]:7", "a:b:c", ":", "x:99999999", "txn"));
    const url = fc
      .record({
        user: fc.constantFrom("", "me:hunter2@", "%zz:hunter2@", "me:hunter2%zz@"),
        path: fc.oneof({ weight: 3, arbitrary: fc.constant("") }, { weight: 1, arbitrary: part }),
        query: fc.array(fc.tuple(fc.constantFrom("node", "tls", "prefix", "strategy", "other", "__proto__"), part), { maxLength: 3 }),
      })
      .map(({ user, path, query }) => {
        const made = new URL(`etcd://${user}localhost`);
        made.pathname = path;
        for (const [name, text] of query) made.searchParams.append(name, text);
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
      { numRuns: 500 },
    );
  });

  it.each(["client", "connection", "url", "prefix", "strategy"])("%s is used, or refused by name", async (name) => {
    const any = fc.oneof(
      fc.constantFrom<unknown>(null, 5, "x", true, [], {}, Symbol("s"), () => {}, { pool: 5 }, "etcd://localhost"),
      fc.anything({ maxDepth: 1 }),
    );
    await fc.assert(
      fc.asyncProperty(any, async (given) => {
        const rest = ["client", "connection", "url"].includes(name) ? {} : { connection: { hosts: "localhost:1" } };
        try {
          await etcdDriver({ ...rest, [name]: given } as never).close();
        } catch (error) {
          expect(error instanceof TypeError || error instanceof RangeError).toBe(true);
          expect((error as Error).message).toMatch(new RegExp(`${name}|give exactly one|URL`));
          expect((error as Error).message).not.toMatch(/is not a function|Cannot (read|convert|destructure)|not iterable/);
        }
      }),
      { numRuns: 200 },
    );
  });
});
