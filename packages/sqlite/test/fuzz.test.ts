/** Whatever stands in the file, and whatever is given: an answer that can be relied upon, or an error that names what is wrong. */
import { type Holder, isDriverError, type LockDriver } from "@dlock/core";
import Database from "better-sqlite3";
import fc from "fast-check";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { anything, expectDocumented, Made, outcomeOf } from "../../core/test/fuzz/hostile.ts";
import { expectHolder, listed, settled } from "../../core/test/fuzz/replies.ts";
import { sqliteDriver } from "../src/index.ts";
import { backend } from "../src/url.ts";
import { temporaryFile, temporaryFolder } from "./support/files.ts";

const call = { timeoutMs: 2_000 };
const claim = (key: string, owner = "me", mode: "exclusive" | "shared" = "exclusive") => ({ key, owner, ttlMs: 60_000, mode });

describe("a row that somebody has changed", () => {
  const path = temporaryFile();
  let driver: LockDriver;
  let db: Database.Database;
  beforeAll(() => {
    driver = sqliteDriver(path);
    return async () => {
      db.close();
      await driver.close();
    };
  });
  beforeEach(async () => {
    await driver.ping(call);
    db ??= new Database(path);
  });

  const cell = fc.oneof(
    fc.constantFrom<unknown>(
      null,
      "",
      "exclusive",
      "shared",
      "read",
      "5",
      "-1",
      "x",
      0n,
      1n,
      -1n,
      2n ** 62n,
      -(2n ** 62n),
      0.5,
      -1e300,
      1e300,
    ),
    fc.constantFrom<unknown>(Buffer.from([0xff, 0]), Buffer.alloc(0)),
    fc.string({ unit: "binary", maxLength: 8 }),
  );
  const column = fc.constantFrom("owner", "token", "mode", "granted_at_us", "expires_at_us", "ttl_us", "clock", "metadata");
  const changes = fc.array(fc.tuple(column, cell), { minLength: 1, maxLength: 3 });

  /** Whether the file took the row: some columns must not be null. */
  async function changed(some: readonly (readonly [string, unknown])[]): Promise<boolean> {
    db.exec("DELETE FROM dlock_leases");
    await driver.acquire([claim("a", "other")], call);
    try {
      for (const [name, value] of some) db.prepare(`UPDATE dlock_leases SET ${name} = ?`).run(value);
      return true;
    } catch {
      // NOT NULL: SQLite itself has refused it.
      return false;
    }
  }

  test("is a lease or an error for its own claim, and no matter to the others of the batch", async () => {
    await fc.assert(
      fc.asyncProperty(changes, fc.constantFrom("exclusive", "shared"), async (some, mode) => {
        fc.pre(await changed(some));
        const outcomes = await settled(() => driver.acquire([claim("a", "me", mode), claim("b")], call));
        if (isDriverError(outcomes)) throw outcomes;
        const [changedOne, free] = outcomes;
        expect(free).toMatchObject({ acquired: true });
        if (isDriverError(changedOne))
          expect(changedOne).toMatchObject({ applied: "no", message: expect.stringContaining("dlock_leases") });
        else if (changedOne?.acquired === false) {
          expect(changedOne.retryAfterMs === undefined || changedOne.retryAfterMs >= 0).toBe(true);
          expectHolder(changedOne.holder as Holder);
        } else expect(typeof changedOne?.token).toBe("bigint");
        await driver.release([{ key: "b", owner: "me" }], call);
      }),
      { numRuns: 300 },
    );
  });

  test.each(["extend", "release"] as const)("is a verdict of %s or an error for its own claim", async (operation) => {
    await fc.assert(
      fc.asyncProperty(changes, fc.bigInt({ min: 0n, max: 2n ** 53n }), async (some, token) => {
        fc.pre(await changed(some));
        const outcomes = await driver[operation]([{ key: "a", owner: "other", token, ttlMs: 5_000, longestMs: 5_000 }], call);
        for (const outcome of outcomes) if (!isDriverError(outcome)) expect(typeof outcome).toBe("boolean");
      }),
      { numRuns: 300 },
    );
  });

  test("is shown as a holder, or is an error, to inspect, list and sweep", async () => {
    await fc.assert(
      fc.asyncProperty(changes, async (some) => {
        fc.pre(await changed(some));
        const found = await settled(() => driver.inspect("a", call));
        if (!isDriverError(found)) found.forEach(expectHolder);
        await settled(() => listed(driver));
        const swept = await settled(() => driver.sweep(call));
        if (!isDriverError(swept)) expect(swept).toBeGreaterThanOrEqual(0);
      }),
      { numRuns: 300 },
    );
  });

  test("hides no others from list, and keeps no ended ones from the sweep", async () => {
    db.exec("DELETE FROM dlock_leases");
    await driver.acquire([claim("a damaged one"), claim("a held one"), { ...claim("an ended one"), ttlMs: 1 }], call);
    db.prepare("UPDATE dlock_leases SET token = 'rubbish' WHERE key = 'a damaged one'").run();
    await expect.poll(async () => driver.sweep(call)).toBe(1);
    const keys: string[] = [];
    for await (const { key } of driver.list({ prefix: "a" })) keys.push(key);
    expect(keys).toEqual(["a held one"]);
  });

  test("is no matter to the others of a batch when writers crowd, either", async () => {
    await driver.acquire([claim("held", "another"), claim("damaged", "another")], call);
    db.prepare("UPDATE dlock_leases SET token = 'rubbish' WHERE key = 'damaged'").run();
    db.exec("BEGIN IMMEDIATE");
    // It has been tried once and waits for the other writer: that is what a crowd is.
    const waiting = driver.acquire([claim("elsewhere")], call);
    await Promise.resolve();
    const batch = driver.acquire([claim("held"), claim("damaged")], call);
    db.exec("COMMIT");
    await waiting;
    const [held, damaged] = await batch;
    expect(held).toMatchObject({ acquired: false });
    expect(isDriverError(damaged)).toBe(true);
  });

  test("and a counter of tokens that is none grants nothing", async () => {
    for (const value of ["x", 0.5, -5n, 2n ** 53n, Buffer.from("5")]) {
      db.exec("DELETE FROM dlock_leases");
      const before = db.prepare("SELECT value FROM dlock_meta WHERE name = 'last_token'").pluck().safeIntegers().get();
      db.prepare("UPDATE dlock_meta SET value = ? WHERE name = 'last_token'").run(value);
      const [outcome] = await driver.acquire([claim("a")], call);
      expect(outcome).toMatchObject({ dlockDriverError: true, applied: "no", message: expect.stringContaining("dlock_meta") });
      db.prepare("UPDATE dlock_meta SET value = ? WHERE name = 'last_token'").run(before);
      expect(await driver.acquire([claim("a")], call)).toMatchObject([{ acquired: true }]);
    }
  });
});

describe("any option", () => {
  test("of a URL makes a driver that closes, or is refused with a RangeError or TypeError", async () => {
    const folder = temporaryFolder();
    const part = fc.oneof(fc.string({ maxLength: 8 }), fc.constantFrom("%", "%zz", "%00", "\0", "..", "full", ":memory:"));
    await fc.assert(
      fc.asyncProperty(part, fc.option(fc.tuple(fc.constantFrom("synchronous", "other", "__proto__"), part)), async (path, query) => {
        let url: URL;
        try {
          url = new URL(`sqlite:${folder}/${path.replace(/[?#]/g, "")}`);
        } catch {
          return;
        }
        if (query !== null) url.searchParams.set(...query);
        try {
          await backend.fromUrl(url).close();
        } catch (error) {
          expect(error instanceof RangeError || error instanceof TypeError).toBe(true);
          expect((error as Error).message).toMatch(/sqlite URL|synchronous|file must be/);
        }
      }),
      { numRuns: 500 },
    );
  });

  test.each([
    ["the file", (given: unknown) => sqliteDriver(given as string), ["file", "database"]],
    ["the options", (given: unknown) => sqliteDriver("./never.db", given as never), ["options", "synchronous"]],
    ["synchronous", (given: unknown) => sqliteDriver("./never.db", { synchronous: given as never }), ["synchronous"]],
  ] as const)("%s is used or refused by name", async (_what, make, names) => {
    const nearly = [":memory:", "sqlite:x", { database: 5 }, { database: null }, "a\0b"];
    await fc.assert(
      fc.asyncProperty(fc.oneof(anything, fc.constantFrom(...nearly.map((value) => new Made(() => value)))), async (given) => {
        const outcome = await outcomeOf(() => make(given.make()));
        if (outcome.ok) await (outcome.value as LockDriver).close();
        else expectDocumented(outcome.error, names);
      }),
      { numRuns: 300 },
    );
  });
});
