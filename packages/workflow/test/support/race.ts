/** A race of eight replicas for executions over one server or file, while replicas are killed and stopped at random; and its history. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { createLockProviderFromUrl, type LockRecord } from "@dlock/core";
import { expect, onTestFinished } from "vitest";

const replicas = 8;
const ttlMs = 1_000;
/** How many executions of each template may run at a time. */
const limits = [1, 2, 3, 4];

const script = fileURLToPath(new URL("./worker.mjs", import.meta.url));

interface Database {
  exec(sql: string): void;
  prepare(sql: string): { all(): unknown[] };
  pragma(sql: string): unknown;
  close(): void;
}
const sqliteEntry = fileURLToPath(import.meta.resolve("@dlock/sqlite"));
const BetterSqlite = createRequire(sqliteEntry)("better-sqlite3") as new (path: string, options: { timeout: number }) => Database;

/** A stretch of time for which one holder certainly held both locks. */
interface Held {
  readonly executionId: string;
  readonly templateId: string;
  readonly token: string;
  readonly from: bigint;
  to: bigint;
}

/** @param startBackend makes one that nobody else uses, with its files in `folder`, and tells its URL. */
export async function race(executions: number, startBackend: (folder: string) => Promise<string> | string): Promise<void> {
  const seed = Number(process.env.DLOCK_SEED ?? Math.ceil(Math.random() * 2 ** 30));
  console.log(`replay with DLOCK_SEED=${seed} (as far as the scheduling of processes repeats)`);
  const random = xorshift(seed);
  const folder = mkdtempSync(join(tmpdir(), "dlock-replicas-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const results = join(folder, "results.db");
  const db = new BetterSqlite(results, { timeout: 10_000 });
  onTestFinished(() => db.close());
  db.pragma("journal_mode = WAL");
  db.pragma("synchronous = OFF");
  db.exec(`
    CREATE TABLE executions (id TEXT PRIMARY KEY, fence INTEGER NOT NULL DEFAULT 0, done INTEGER NOT NULL DEFAULT 0, effects INTEGER NOT NULL DEFAULT 0) STRICT;
    CREATE TABLE stale (id TEXT NOT NULL, token INTEGER NOT NULL) STRICT;
    CREATE TABLE frozen (id TEXT NOT NULL, token INTEGER NOT NULL) STRICT;
    WITH RECURSIVE ids (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM ids WHERE n < ${executions})
    INSERT INTO executions (id) SELECT CAST(n AS TEXT) FROM ids;`);

  const locksUrl = await startBackend(folder);
  let started = 0;
  const running = new Set<ChildProcess>();
  const failures: string[] = [];
  const killed = new Set<ChildProcess>();
  const stopped = new Set<ChildProcess>();

  async function start(stopsItself = false): Promise<ChildProcess> {
    started++;
    const history = join(folder, `history-${started}.jsonl`);
    const options = { url: locksUrl, results, history, ttlMs, limits, seed: seed + started, stopsItself };
    const child = fork(script, [JSON.stringify(options)], { execArgv: [], stdio: ["ignore", "inherit", "pipe", "ipc"] });
    onTestFinished(() => void child.kill("SIGKILL"));
    running.add(child);
    let stderr = "";
    child.stderr?.on("data", (chunk) => {
      stderr += chunk;
    });
    child.on("exit", (code, signal) => {
      running.delete(child);
      if (!killed.has(child) && code !== 0) failures.push(`a replica ended with ${code ?? signal}: ${stderr}`);
    });
    await Promise.race([once(child, "message"), once(child, "exit")]);
    child.send("go");
    return child;
  }

  // One stops in the middle of its first execution, and goes on when another has taken that over. Nothing else happens to it.
  const frozen = await start(true);
  let isFrozen = true;
  await Promise.all(Array.from({ length: replicas - 1 }, () => start()));
  let kills = 0;
  let stops = 0;
  while (running.size > 0 && failures.length === 0) {
    await sleep(100 + random() * 300);
    if (isFrozen && wasOvertaken(db)) {
      frozen.kill("SIGCONT");
      isFrozen = false;
    }
    const [victim] = [...running].filter((child) => child !== frozen && !stopped.has(child)).sort(() => random() - 0.5);
    // Nobody is hurt at the end: the last executions must come to theirs.
    if (victim === undefined || openExecutions(db) < 2 * replicas) continue;
    if (random() < 0.65) {
      stops++;
      stopped.add(victim);
      victim.kill("SIGSTOP");
      void sleep(ttlMs * (0.2 + 1.5 * random())).then(() => {
        victim.kill("SIGCONT");
        stopped.delete(victim);
      });
    } else {
      kills++;
      killed.add(victim);
      const exit = once(victim, "exit");
      victim.kill("SIGKILL");
      await exit;
      await start();
    }
  }
  const lastRelease = performance.now();
  expect(failures).toEqual([]);

  const rows = db.prepare("SELECT id, done, effects FROM executions WHERE done <> 1 OR effects <> 1").all();
  expect(rows, `seed ${seed}`).toEqual([]);

  const history = readHistory(folder);
  const ran = new Set(history.map(({ executionId }) => executionId));
  expect(ran.size).toBe(executions);
  expect(
    mostAtOnce(history, ({ executionId }) => executionId),
    `seed ${seed}`,
  ).toEqual(new Map([...ran].map((id) => [id, 1])));
  for (const [templateId, most] of mostAtOnce(history, (held) => held.templateId)) {
    expect(most, `${templateId}, seed ${seed}`).toBeLessThanOrEqual(limits[Number(templateId.slice("template".length))] as number);
  }
  for (const [executionId, holders] of groupBy(history, (held) => held.executionId)) {
    const tokens = holders.sort((a, b) => Number(a.from - b.from)).map(({ token }) => BigInt(token));
    expect(tokens, `${executionId}, seed ${seed}`).toEqual([...tokens].sort((a, b) => (a < b ? -1 : 1)));
  }

  const locks = await createLockProviderFromUrl(locksUrl, { sweepIntervalMs: 0 });
  onTestFinished(() => locks.close());
  await sleep(Math.max(lastRelease + ttlMs - performance.now(), 0));
  const left: LockRecord[] = [];
  for await (const record of locks.list()) left.push(record);
  expect(left, `seed ${seed}`).toEqual([]);

  const refused = db.prepare("SELECT id, token FROM stale").all().length;
  expect(refused, "the frozen replica's write is refused by the fence").toBeGreaterThan(0);
  console.log(`${started} processes, ${kills} kills, ${stops} stops; ${refused} writes of overtaken holders were refused`);
}

function openExecutions(db: Database): number {
  return (db.prepare("SELECT count(*) AS n FROM executions WHERE done = 0").all() as { n: number }[])[0]?.n ?? 0;
}

/** Whether another has begun what the frozen replica still thinks its own. */
function wasOvertaken(db: Database): boolean {
  return db.prepare("SELECT 1 FROM frozen JOIN executions USING (id) WHERE fence > token").all().length > 0;
}

/** The last note of each stretch says how long it certainly was; the last line of a killed process may be cut off. */
function readHistory(folder: string): Held[] {
  const stretches = new Map<string, Held>();
  for (const name of readdirSync(folder).filter((each) => each.startsWith("history-"))) {
    for (const line of readFileSync(join(folder, name), "utf8").split("\n").slice(0, -1)) {
      const { executionId, templateId, token, from, at } = JSON.parse(line) as Record<string, string>;
      const held = { executionId, templateId, token, from: BigInt(from as string), to: BigInt(at as string) } as Held;
      stretches.set(`${executionId} ${token}`, held);
    }
  }
  return [...stretches.values()];
}

function groupBy<T>(all: readonly T[], groupOf: (each: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const each of all) {
    const group = groups.get(groupOf(each));
    if (group === undefined) groups.set(groupOf(each), [each]);
    else group.push(each);
  }
  return groups;
}

/** For each group, how many stretches overlap at most. */
function mostAtOnce(history: readonly Held[], groupOf: (held: Held) => string): Map<string, number> {
  const most = new Map<string, number>();
  for (const [group, stretches] of groupBy(history, groupOf)) {
    const edges = stretches.flatMap(({ from, to }) => [
      { at: from, change: 1 },
      { at: to, change: -1 },
    ]);
    // An end before a begin at the same instant.
    edges.sort((a, b) => Number(a.at - b.at) || a.change - b.change);
    let now = 0;
    let highest = 1;
    for (const { change } of edges) {
      now += change;
      highest = Math.max(highest, now);
    }
    most.set(group, highest);
  }
  return most;
}

function xorshift(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
