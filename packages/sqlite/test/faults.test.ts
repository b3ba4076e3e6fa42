/** What can be wrong with a file: each time a clear error, nothing held, and no event loop in the way. */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isDriverError, type LockDriver } from "@dlock/core";
import Database from "better-sqlite3";
import { describe, expect, it, onTestFinished } from "vitest";
import { sqliteDriver } from "../src/index.ts";
import { call, extend, faultOf, grant, release } from "./support/claims.ts";
import { temporaryFile, temporaryFolder } from "./support/files.ts";
import { Peer } from "./support/process.ts";

function open(file: Parameters<typeof sqliteDriver>[0]): LockDriver {
  const driver = sqliteDriver(file);
  onTestFinished(() => driver.close());
  return driver;
}

/** Every call that asks for something answers with a DriverError that says so. */
async function expectFaults(
  driver: LockDriver,
  message: RegExp,
  expected: { applied?: string; retryable: boolean } = { retryable: false },
) {
  const claim = { key: "k", owner: "o" };
  const calls = {
    acquire: () => driver.acquire([{ ...claim, ttlMs: 1_000, mode: "exclusive" }], call),
    inspect: () => driver.inspect("k", call),
    list: () => driver.list({})[Symbol.asyncIterator]().next(),
    sweep: () => driver.sweep(call),
    ping: () => driver.ping(call),
  };
  for (const [name, ask] of Object.entries(calls)) {
    const fault = await faultOf(ask());
    expect(isDriverError(fault), `${name} answers ${String(fault)}`).toBe(true);
    expect(fault, name).toMatchObject({ applied: "no", ...expected, message: expect.stringMatching(message) });
  }
}

describe("a database file that is gone", () => {
  for (const [what, happen] of [
    ["deleted", (path: string) => rmSync(path)],
    [
      "replaced",
      (path: string) => {
        rmSync(path);
        new Database(path).exec("CREATE TABLE other (x)").close();
      },
    ],
  ] as const) {
    it(`is noticed when it was ${what}: held locks are lost, and no new ones are given`, async () => {
      const path = temporaryFile();
      const driver = open(path);
      const token = await grant(driver, { key: "held", owner: "o" });
      happen(path);
      expect(await extend(driver, "held", "o", token)).toBe(false);
      await expectFaults(driver, new RegExp(`${path} was ${what} .*restart`));
      expect(await release(driver, "held", "o", token)).toBe(false);
    });
  }

  it("is taken up again when the same file comes back", async () => {
    const path = temporaryFile();
    const driver = open(path);
    const token = await grant(driver, { key: "held", owner: "o" });
    renameSync(path, `${path}.away`);
    expect(await extend(driver, "held", "o", token)).toBe(false);
    renameSync(`${path}.away`, path);
    expect(await extend(driver, "held", "o", token)).toBe(true);
  });

  it("wakes those who wait, so that their attempt learns of it", async () => {
    const path = temporaryFile();
    const driver = open(path);
    await grant(driver, { key: "held", owner: "o" });
    const woken = new Promise<void>((resolve) => void driver.watch?.({ key: "held", owner: "other" }, resolve));
    rmSync(path);
    await woken;
  });

  it("is followed by tokens above its own when a new driver makes it anew", async () => {
    const path = temporaryFile();
    const first = sqliteDriver(path);
    const token = await grant(first, { key: "k", owner: "o" });
    await first.close();
    rmSync(path);
    expect(await grant(open(path), { key: "k", owner: "o" })).toBeGreaterThan(token);
  });
});

it("a folder that does not exist is named", async () => {
  await expectFaults(open(join(temporaryFolder(), "absent", "locks.db")), /create its folder/);
});

it("a folder in the place of the file is an error", async () => {
  await expectFaults(open(temporaryFolder()), /cannot be opened/);
});

it("a driver whose file could not be opened opens it once it can", async () => {
  const folder = join(temporaryFolder(), "later");
  const driver = open(join(folder, "locks.db"));
  expect(isDriverError(await faultOf(driver.ping(call)))).toBe(true);
  mkdirSync(folder);
  await driver.ping(call);
});

it("a file that is not a database is named", async () => {
  const path = temporaryFile();
  writeFileSync(path, "these are not the pages you are looking for ".repeat(100));
  await expectFaults(open(path), /not a SQLite database/);
});

it("a damaged file is named", async () => {
  const path = temporaryFile();
  const first = sqliteDriver(path);
  for (let index = 0; index < 500; index += 1) await grant(first, { key: `k${index}`, owner: "o" });
  await first.close();
  const db = new Database(path);
  const root = db.prepare("SELECT rootpage FROM sqlite_schema WHERE name = 'dlock_leases'").pluck().get() as number;
  const pageSize = db.pragma("page_size", { simple: true }) as number;
  db.close();
  const bytes = readFileSync(path).fill(0xff, (root - 1) * pageSize, root * pageSize);
  writeFileSync(path, bytes);
  const fault = await faultOf(open(path).acquire([{ key: "k", owner: "x", ttlMs: 1_000, mode: "exclusive" }], call));
  expect(fault).toMatchObject({ dlockDriverError: true, retryable: false, message: expect.stringMatching(/is damaged/) });
});

it("tables of a newer version are left alone", async () => {
  const path = temporaryFile();
  const first = sqliteDriver(path);
  await first.ping(call);
  await first.close();
  const db = new Database(path);
  db.exec("UPDATE dlock_meta SET value = 2 WHERE name = 'schema_version'");
  db.close();
  await expectFaults(open(path), /schema version 2, .*update @dlock\/sqlite/);
});

describe("without write permission", () => {
  async function expectReadOnly(path: string, message: RegExp) {
    const peer = await Peer.start(path);
    // Root may write everything.
    if (process.getuid?.() === 0) await peer.call("becomeNobody");
    for (const name of ["acquire", "ping"]) {
      const fault = await faultOf(peer.call(name, "k", "o", 1_000));
      expect(fault, name).toMatchObject({ message: expect.stringMatching(message) });
    }
  }

  it("a file that cannot be written is named", async () => {
    const path = temporaryFile();
    const first = sqliteDriver(path);
    await first.ping(call);
    await first.close();
    chmodSync(path, 0o444);
    chmodSync(join(path, ".."), 0o777);
    await expectReadOnly(path, /DriverError: .*locks\.db is read-only.*write the file and its folder/);
  });

  it("a folder that cannot be written is named", async () => {
    const path = temporaryFile();
    const first = sqliteDriver(path);
    await first.ping(call);
    await first.close();
    chmodSync(path, 0o666);
    chmodSync(join(path, ".."), 0o555);
    await expectReadOnly(path, /DriverError: .*locks\.db (is read-only|cannot be opened)/);
    chmodSync(join(path, ".."), 0o755);
  });

  it("a folder where no file can be made is named", async () => {
    const path = temporaryFile();
    chmodSync(join(path, ".."), 0o555);
    await expectReadOnly(path, /DriverError: .*locks\.db cannot be opened/);
    chmodSync(join(path, ".."), 0o755);
  });
});

/** A place that can be filled up and emptied again. */
interface Disk {
  readonly driver: LockDriver;
  fill(): void;
  empty(): void;
}

/** SQLite's own limit on the size of a file, which holds for the connection that sets it. */
function limitedFile(): Disk {
  const database = new Database(temporaryFile());
  onTestFinished(() => void database.close());
  database.pragma("journal_mode = WAL");
  return {
    driver: open({ database }),
    fill: () => void database.pragma(`max_page_count = ${database.pragma("page_count", { simple: true })}`),
    empty: () => void database.pragma("max_page_count = 1000000"),
  };
}

async function smallFileSystem(): Promise<Disk> {
  const folder = temporaryFolder();
  mount(folder);
  const path = join(folder, "locks.db");
  // As in a file that has been in use for a while, its pages are in the database and not only in the log.
  const first = sqliteDriver(path);
  await first.ping(call);
  await first.close();
  const driver = sqliteDriver(path);
  onTestFinished(async () => {
    await driver.close();
    execFileSync("umount", [folder]);
  });
  const ballast = join(folder, "ballast");
  return {
    driver,
    fill: () => expect(() => writeFileSync(ballast, Buffer.alloc(8 * 2 ** 20))).toThrow(/ENOSPC/),
    empty: () => rmSync(ballast),
  };
}

function mount(folder: string): void {
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=6m", "tmpfs", folder], { stdio: "ignore" });
}

/** A container without privileges may not mount; the limited file has to stand for it there. */
function mayMount(): boolean {
  const folder = temporaryFolder();
  try {
    mount(folder);
  } catch {
    return false;
  }
  execFileSync("umount", [folder]);
  return true;
}

describe.each([["a limited file", limitedFile] as const, ...(mayMount() ? [["a small file system", smallFileSystem] as const] : [])])(
  "without space left, on %s",
  (_, makeDisk) => {
    it("a batch that does not fit gives nothing, what was held stays held, and with space all goes on", async () => {
      const { driver, fill, empty } = await makeDisk();
      for (let round = 0; round < 100; round += 1) await release(driver, "used", "o", await grant(driver, { key: "used", owner: "o" }));
      const token = await grant(driver, { key: "held", owner: "o" });
      fill();
      const claims = Array.from({ length: 500 }, (_, index) => `k${index}`).map((key) => ({
        key,
        owner: "o".repeat(200),
        ttlMs: 60_000,
        mode: "exclusive" as const,
      }));
      for (const outcome of await driver.acquire(claims, call)) {
        expect(outcome).toMatchObject({
          dlockDriverError: true,
          retryable: true,
          message: expect.stringMatching(/no space left .*free some/),
        });
      }
      const records = [];
      for await (const record of driver.list({})) records.push(record.key);
      expect(records).toEqual(["held"]);
      // The attempt that fails makes room in the log for the next one.
      const extensions = [await extend(driver, "held", "o", token), await extend(driver, "held", "o", token)];
      expect(extensions).toContain(true);
      empty();
      expect(await extend(driver, "held", "o", token)).toBe(true);
      expect(await grant(driver, { key: "k0", owner: "o" })).toBeGreaterThan(token);
      expect(await release(driver, "held", "o", token)).toBe(true);
    });
  },
);

it.each([
  [undefined, /path of a database file, or \{ database \}/],
  [{ file: "locks.db" }, /path of a database file, or \{ database \}/],
  ["sqlite:./locks.db", /not the URL "sqlite:.\/locks.db": createLockProviderFromUrl/],
])("%j is neither path nor database, and the error says what is", (file, message) => {
  const make = () => sqliteDriver(file as string);
  expect(make).toThrow(TypeError);
  expect(make).toThrow(message);
});

describe("the caller's own connection", () => {
  it("must not be in memory", () => {
    const database = new Database(":memory:");
    onTestFinished(() => void database.close());
    expect(() => sqliteDriver({ database })).toThrow(TypeError);
    expect(() => sqliteDriver(":memory:")).toThrow(TypeError);
    expect(() => sqliteDriver(" ")).toThrow(TypeError);
  });

  it("must be in WAL mode", async () => {
    const database = new Database(temporaryFile());
    onTestFinished(() => void database.close());
    await expectFaults(open({ database }), /not in WAL mode: run `PRAGMA journal_mode = WAL`/);
  });

  it("is left open, with its pragmas as they were", async () => {
    const database = new Database(temporaryFile(), { timeout: 1_234 });
    onTestFinished(() => void database.close());
    database.pragma("journal_mode = WAL");
    database.pragma("synchronous = OFF");
    const driver = sqliteDriver({ database });
    await release(driver, "k", "o", await grant(driver, { key: "k", owner: "o" }));
    await driver.close();
    expect(database.pragma("busy_timeout", { simple: true })).toBe(1_234);
    expect(database.pragma("synchronous", { simple: true })).toBe(0);
    expect(database.prepare("SELECT count(*) FROM dlock_leases").pluck().get()).toBe(0);
  });

  it("is not used in the middle of its own transaction", async () => {
    const database = new Database(temporaryFile());
    onTestFinished(() => void database.close());
    database.pragma("journal_mode = WAL");
    const driver = open({ database });
    await driver.ping(call);
    database.exec("BEGIN; CREATE TABLE mine (x)");
    const outcome = await faultOf(driver.acquire([{ key: "k", owner: "o", ttlMs: 1_000, mode: "exclusive" }], { timeoutMs: 20 }));
    expect(outcome).toMatchObject({ dlockDriverError: true, applied: "no", retryable: true });
    const waiting = grant(driver, { key: "k", owner: "o" });
    database.exec("ROLLBACK");
    expect(await waiting).toBeGreaterThan(0n);
    expect(database.prepare("SELECT count(*) FROM sqlite_schema WHERE name = 'mine'").pluck().get()).toBe(0);
  });
});

it("a closed driver answers every call with an error, and may be closed again", async () => {
  const driver = sqliteDriver(temporaryFile());
  await grant(driver, { key: "k", owner: "o" });
  await driver.close();
  await driver.close();
  await expectFaults(driver, /driver is closed/);
  expect(await faultOf(driver.watch?.({ key: "k", owner: "o" }, () => {}) ?? Promise.resolve())).toMatchObject({ dlockDriverError: true });
});

it("an option out of range is named", () => {
  expect(() => sqliteDriver("locks.db", { synchronous: "off" as "full" })).toThrow(
    new RangeError('synchronous must be "full" or "normal", not "off"'),
  );
});
