/** Removing the rows of ended leases, a few at a time, so that neither tables nor waits grow (R7). */
import { systemClock } from "@dlock/core";
import { isLockWaitTimeout } from "./faults.js";
import type { Run } from "./sessions.js";
import { between, beyond, bytes, now, type Tables } from "./sql.js";
import { wholeNumber } from "./views.js";

/** Runs statements on some connection within the time. */
type Ask = <T>(work: (run: Run) => Promise<T>, timeoutMs?: number) => Promise<T>;

const chunkSize = 100;

/**
 * Before a row goes, the floor is raised over its token: whoever grants that key next, on a new row, starts above (R6). Raising waits for
 * the statements that are granting, as they hold the floor's row in share mode. A row that somebody holds is left for the next sweep.
 */
export async function sweep(names: Tables, timeoutMs: number, ask: Ask): Promise<number> {
  const deadline = systemClock.now() + timeoutMs;
  const hurried: Ask = (work) => ask(work, deadline - systemClock.now());
  // Holders first: the row of a key stays until it has none.
  const removed = await sweepTable(names, names.holders, ["lock_key", "slot"], hurried);
  return removed + (await sweepTable(names, names.leases, ["lock_key"], hurried));
}

async function sweepTable(names: Tables, table: string, primary: readonly string[], ask: Ask): Promise<number> {
  let removed = 0;
  let after = "TRUE";
  for (;;) {
    const { rows } = await ask((run) => run(findEnded(table, primary, after)));
    const last = rows.at(-1);
    if (last === undefined) return removed;
    let highest = 0n;
    for (const [, , cell] of rows) {
      const token = BigInt(wholeNumber(cell));
      if (token > highest) highest = token;
    }
    try {
      await ask((run) => raiseFloor(run, names, highest));
    } catch (error) {
      // A grant has been waiting for a row all the while. These rows are in nobody's way until the next sweep.
      if (isLockWaitTimeout(error)) return removed;
      throw error;
    }
    const chunk = rows.map(([key, slot]) => ({ key: bytes(key as Buffer), slot: wholeNumber(slot) }));
    const { affected } = await ask((run) => run(remove(names, table, primary, chunk)));
    removed += affected;
    if (rows.length < chunkSize) return removed;
    after = beyond(last[0] as Buffer, primary.length === 1 ? undefined : wholeNumber(last[1]));
  }
}

/** A plain read: it walks over live leases without locking them. */
function findEnded(table: string, primary: readonly string[], after: string): string {
  return (
    `SELECT lock_key, ${primary[1] ?? "0"}, token FROM ${table} FORCE INDEX (PRIMARY) WHERE ${after} AND expires_at <= ${now} ` +
    `ORDER BY ${primary.join(", ")} LIMIT ${chunkSize}`
  );
}

/** Far enough for all rows of a sweep: their tokens are rarely above the time. */
async function raiseFloor(run: Run, { floor }: Tables, token: bigint): Promise<void> {
  const { rows } = await run(`SELECT token_floor FROM ${floor} WHERE id = 1 AND token_floor >= ${token}`);
  if (rows.length > 0) return;
  const value = `GREATEST(${token}, ${between("'1970-01-01'", now)})`;
  await run(
    `INSERT INTO ${floor} (id, token_floor) VALUES (1, ${value}) ON DUPLICATE KEY UPDATE token_floor = GREATEST(token_floor, VALUES(token_floor))`,
    { waitOnce: true },
  );
}

function remove(names: Tables, table: string, primary: readonly string[], chunk: readonly { key: string; slot: string }[]): string {
  const keys = `lock_key IN (${[...new Set(chunk.map(({ key }) => key))].join(", ")})`;
  const slots = primary.length === 1 ? "" : ` AND (lock_key, slot) IN (${chunk.map(({ key, slot }) => `(${key}, ${slot})`).join(", ")})`;
  const sameRow = primary.map((column) => `t.${column} = free.${column}`).join(" AND ");
  // Counted while the key's row is locked, and as others committed it: a holder may have been let in a moment ago.
  const unused =
    table === names.leases
      ? ` AND (SELECT COUNT(*) FROM ${names.holders} h FORCE INDEX (PRIMARY) WHERE h.lock_key = t.lock_key AND t.token > 0 LOCK IN SHARE MODE) = 0`
      : "";
  return (
    `DELETE t FROM (SELECT ${primary.join(", ")} FROM ${table} FORCE INDEX (PRIMARY) WHERE ${keys}${slots} LIMIT 1000000 FOR UPDATE SKIP LOCKED) free ` +
    `STRAIGHT_JOIN ${table} t FORCE INDEX (PRIMARY) ON ${sameRow} ` +
    `WHERE t.expires_at <= ${now} AND t.token <= (SELECT token_floor FROM ${names.floor} WHERE id = 1)${unused}`
  );
}
