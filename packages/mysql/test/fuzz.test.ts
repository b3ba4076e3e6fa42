// Whatever comes back from a server or a proxy: an answer that can be relied upon, or a DriverError; and options that are refused by name.
import { type DriverError, type Holder, isDriverError, type LockDriver } from "@dlock/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { backend } from "../src/backend.ts";
import { mysqlDriver } from "../src/index.ts";

const ok = { affectedRows: 0, insertId: 0 };
const text = (value: string) => Buffer.from(value);

/** A pool of mysql2 whose connections are set up as usual, and then answer what they are told: rows to a SELECT, else a packet. */
function scripted(replies: { rows: unknown; packet: unknown }): LockDriver {
  const answer = (sql: string): unknown => {
    if (sql.includes("VERSION()")) return [[text("10.11.6-MariaDB"), text("0"), text("1")]];
    if (sql.includes("information_schema")) return [];
    if (/^(SET|CREATE|INSERT IGNORE)/.test(sql)) return ok;
    return sql.startsWith("SELECT") ? replies.rows : replies.packet;
  };
  const ask = ({ sql }: { sql: string }, done: (error: null, result: unknown) => void) => queueMicrotask(() => done(null, answer(sql)));
  const connection = { query: ask, execute: ask, reset: (done: (error: null) => void) => done(null), on: () => {}, destroy: () => {} };
  return mysqlDriver({ pool: { getConnection: (done) => done(null, connection), config: { connectionLimit: 4 } } });
}

const cell = fc.oneof(
  fc.constantFrom<unknown>(null, undefined, text(""), text("exclusive"), text("shared"), text("a"), text("b"), text("me"), text("x")),
  fc.constantFrom<unknown>(text("5"), text("-5"), text("1.5"), text("0x10"), text("9".repeat(30)), text("1000000"), text("NaN"), 5, {}),
  fc.uint8Array({ maxLength: 6 }).map((bytes) => Buffer.from(bytes)),
);
const row = fc.oneof(
  fc.array(cell, { maxLength: 8 }),
  // Almost as it should be.
  fc.tuple(
    fc.constantFrom(text("exclusive"), text("shared"), text("other")),
    fc.constantFrom(text("a"), text("b")),
    fc.constantFrom(text("me"), text("other")),
    cell,
    cell,
    cell,
    cell,
  ),
);
const rows = fc.oneof(
  { weight: 6, arbitrary: fc.array(row, { maxLength: 3 }) },
  { weight: 1, arbitrary: fc.constantFrom<unknown>(null, undefined, 5, "x", {}, ok, [null], [5]) },
);
const number = fc.constantFrom<unknown>(
  0,
  1,
  2,
  3,
  -1,
  1.5,
  Number.NaN,
  2 ** 53,
  "5",
  "x",
  "18446744073709551615",
  7n,
  null,
  undefined,
  {},
);
const packet = fc.oneof(
  { weight: 6, arbitrary: fc.record({ affectedRows: number, insertId: number }, { requiredKeys: [] }) },
  { weight: 1, arbitrary: fc.constantFrom<unknown>(null, undefined, 5, "x", [], [[text("1")]]) },
);
const replies = fc.record({ rows, packet });

const call = { timeoutMs: 200 };
const claim = (key: string, mode: "exclusive" | "shared") => ({
  key,
  owner: "me",
  ttlMs: 60_000,
  mode,
  ...(mode === "shared" ? { limit: 2 } : {}),
});

async function settled<T>(driver: LockDriver, work: () => Promise<T>): Promise<T | DriverError> {
  try {
    return await work();
  } catch (error) {
    if (!isDriverError(error)) throw new Error("not a DriverError", { cause: error });
    return error;
  } finally {
    await driver.close();
  }
}

function expectHolder({ owner, token, mode, remainingMs, heldMs, metadata }: Holder): void {
  expect([typeof owner, typeof token, typeof remainingMs, typeof heldMs]).toEqual(["string", "bigint", "number", "number"]);
  expect(token >= 0n && remainingMs >= 0 && heldMs >= 0).toBe(true);
  expect(["exclusive", "shared"]).toContain(mode);
  expect(["string", "undefined"]).toContain(typeof metadata);
}

describe("any reply", () => {
  it("to acquire is a grant with a token, a refusal, or an error", async () => {
    await fc.assert(
      fc.asyncProperty(replies, fc.constantFrom("exclusive", "shared"), async (given, mode) => {
        const driver = scripted(given);
        const outcomes = await settled(driver, () => driver.acquire([claim("a", mode), claim("b", mode)], call));
        if (isDriverError(outcomes)) return;
        expect(outcomes).toHaveLength(2);
        for (const outcome of outcomes) {
          if (isDriverError(outcome)) continue;
          if (outcome.acquired) {
            expect(outcome.token > 0n).toBe(true);
            expect(outcome.ttlMs).toBe(60_000);
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
        const driver = scripted(given);
        const asked = ["a", "b"].map((key) => ({ key, owner: "me", token: 5n, ttlMs: 5_000, longestMs: 5_000 }));
        const outcomes = await settled(driver, () => driver[operation](asked, { timeoutMs: 20 }));
        if (isDriverError(outcomes)) return;
        expect(outcomes).toHaveLength(2);
        for (const outcome of outcomes) if (!isDriverError(outcome)) expect(typeof outcome).toBe("boolean");
      }),
      { numRuns: 500 },
    );
  });

  it("to inspect, list, sweep and ping is holders, records, a number and silence, or an error", async () => {
    await fc.assert(
      fc.asyncProperty(replies, async (given) => {
        const inspecting = scripted(given);
        const found = await settled(inspecting, () => inspecting.inspect("a", call));
        if (!isDriverError(found)) for (const holder of found) expectHolder(holder);
        const listing = scripted(given);
        await settled(listing, async () => {
          for await (const { key, ...holder } of listing.list({})) {
            expect(typeof key).toBe("string");
            expectHolder(holder);
          }
        });
        const sweeping = scripted(given);
        const swept = await settled(sweeping, () => sweeping.sweep(call));
        if (!isDriverError(swept)) expect(Number.isInteger(swept) && swept >= 0).toBe(true);
        const pinging = scripted(given);
        await settled(pinging, () => pinging.ping(call));
      }),
      { numRuns: 500 },
    );
  });
});

describe("any option", () => {
  it("of a URL makes a driver that closes, or is refused with a RangeError that shows no password", async () => {
    const part = fc.oneof(
      fc.string({ maxLength: 8 }),
      fc.constantFrom("%", "%zz", "true", "app", "[::1]:7", "a:b:c", ":", "x:99999999", "`"),
    );
    const url = fc
      .record({
        user: fc.constantFrom("", "me:hunter2@", "%zz:hunter2@", "me:hunter2%zz@"),
        path: fc.oneof(fc.constant("app"), part),
        query: fc.array(fc.tuple(fc.constantFrom("table", "createTable", "ssl", "node", "other", "__proto__"), part), { maxLength: 3 }),
      })
      .map(({ user, path, query }) => {
        const made = new URL(`mysql://${user}localhost`);
        made.pathname = path;
        for (const [name, value] of query) made.searchParams.append(name, value);
        return made;
      });
    await fc.assert(
      fc.asyncProperty(url, async (given) => {
        let driver: LockDriver;
        try {
          driver = await backend.fromUrl(given);
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

  it.each(["pool", "connection", "url", "table", "schema", "createTable", "connections"])(
    "%s is used, or refused by name",
    async (name) => {
      const any = fc.oneof(
        fc.constantFrom<unknown>(null, 5, "x", true, [], {}, Symbol("s"), () => {}, [null], { pool: 5 }, "mysql://localhost/app"),
        fc.anything({ maxDepth: 1 }),
      );
      await fc.assert(
        fc.asyncProperty(any, async (given) => {
          const rest = ["pool", "connection", "url"].includes(name) ? {} : { connection: {} };
          try {
            await mysqlDriver({ ...rest, [name]: given } as never).close();
          } catch (error) {
            expect(error instanceof TypeError || error instanceof RangeError).toBe(true);
            expect((error as Error).message).toMatch(new RegExp(`${name}|mysqlDriver takes|URL`));
            expect((error as Error).message).not.toMatch(/is not a function|Cannot (read|convert|destructure)|not iterable/);
          }
        }),
        { numRuns: 200 },
      );
    },
  );
});
