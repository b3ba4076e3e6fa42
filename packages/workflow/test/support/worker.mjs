// One replica of a deployment: races with the others for executions that are not done, and writes down what it holds, until all are done.
import { appendFileSync } from "node:fs";
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { createLockProviderFromUrl } from "@dlock/core";
import { createWorkflowLocks } from "../../dist/index.js";

// The results have a database of their own, as in an application; the client is the one that @dlock/sqlite brings.
const Database = createRequire(fileURLToPath(import.meta.resolve("@dlock/sqlite")))("better-sqlite3");

const { url, results, history, ttlMs, seed, limits, stopsItself } = JSON.parse(process.argv[2]);

let hasStopped = false;
let state = seed;
/** From 0 up to 1 (xorshift). */
function random() {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) / 2 ** 32;
}
const below = (bound) => Math.floor(random() * bound);

const db = new Database(results, { timeout: 10_000 });
const open = db.prepare("SELECT id FROM executions WHERE done = 0 ORDER BY id LIMIT 24").pluck();
/** The fence: whoever comes with an older token than the last is refused. */
const begin = db.prepare("UPDATE executions SET fence = @token WHERE id = @id AND fence < @token AND done = 0");
const isNewest = db.prepare("SELECT fence = @token FROM executions WHERE id = @id").pluck();
const finish = db.prepare("UPDATE executions SET effects = effects + 1, done = 1 WHERE id = @id AND fence = @token");
const stale = db.prepare("INSERT INTO stale (id, token) VALUES (@id, @token)");
const frozen = db.prepare("INSERT INTO frozen (id, token) VALUES (@id, @token)");

/** The monotonic clock of the machine: the same for all its processes. */
const now = () => process.hrtime.bigint();
const note = (fields) => appendFileSync(history, `${JSON.stringify(fields)}\n`);

const locks = await createLockProviderFromUrl(url);
const workflows = createWorkflowLocks(locks, { executionTtlMs: ttlMs, templateTtlMs: ttlMs });

async function body({ executionId, templateId, token, lock }) {
  const template = locks.currentLock(`workflow_template:${templateId}`);
  const from = String(now());
  /** The time is read first: what is held afterwards was held then. */
  const seen = () => {
    const at = String(now());
    if (lock.isHeld && template.isHeld) note({ executionId, templateId, token: String(token), from, at });
  };
  seen();
  const claim = { id: executionId, token };
  // Done by someone else between our look and our lock.
  if (db.transaction(() => begin.run(claim).changes)() === 0) return;
  if (stopsItself && !hasStopped) {
    hasStopped = true;
    frozen.run(claim);
    process.kill(process.pid, "SIGSTOP");
  }
  const pieces = 1 + below(3);
  for (let piece = 0; piece < pieces; piece++) {
    await sleep(below(20));
    seen();
  }
  // On purpose not asked of the lock: a holder that was stopped and thinks it still holds must be refused by the fence alone.
  if (finish.run(claim).changes === 0) stale.run(claim);
  else if (isNewest.get(claim) !== 1) throw new Error(`the effect of ${executionId} was written with an old token`);
}

process.send("ready");
await new Promise((resolve) => process.once("message", resolve));
for (let ids = open.all(); ids.length > 0; ids = open.all()) {
  // Replicas that ask without a pause would leave no processor for those that work.
  await sleep(below(10));
  const executionId = ids[below(ids.length)];
  const templateId = `template${Number(executionId) % limits.length}`;
  const templateLimit = limits[Number(executionId) % limits.length];
  const onConflict = ["skip", "skip", "fail", "wait"][below(4)];
  try {
    await workflows.runExecution(executionId, { templateId, templateLimit, onConflict, waitMs: below(200) }, body);
  } catch (error) {
    // Running elsewhere, no place in time, lost while stopped, or the file was busy: an ordinary day of a replica.
    if (!["DLOCK_WORKFLOW_ALREADY_RUNNING", "DLOCK_TIMEOUT", "DLOCK_LOST", "DLOCK_BACKEND"].includes(error.code)) throw error;
  }
}
await locks.close();
db.close();
process.disconnect();
