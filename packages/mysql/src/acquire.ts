/** Grants: conditional statements whose verdict falls while the key's row is locked, and what they read back. */
import { type AcquireClaim, type AcquireResult, type DriverError, isDriverError, type Outcome } from "@dlock/core";
import { isLockWaitTimeout } from "./faults.js";
import type { Run } from "./sessions.js";
import {
  began,
  between,
  bytes,
  claimTable,
  ended,
  leastToken,
  list,
  literal,
  micros,
  now,
  type Param,
  plus,
  type Statement,
  sortByKey,
  type Tables,
} from "./sql.js";
import { type Lease, readHolders, readLeases } from "./views.js";

/** More holders than this can never be. */
const noLimit = 2 ** 32 - 1;

export async function acquire(run: Run, names: Tables, claims: readonly AcquireClaim[]): Promise<readonly Outcome<AcquireResult>[]> {
  const results = new Map<string, Outcome<AcquireResult>>();
  const sorted = sortByKey(claims);
  await decide(run, names, sorted, results);
  return claims.map(({ key }) => results.get(key) as Outcome<AcquireResult>);
}

async function decide(run: Run, names: Tables, claims: readonly AcquireClaim[], results: Map<string, Outcome<AcquireResult>>) {
  try {
    for (const [key, result] of await attempt(run, names, claims)) results.set(key, result);
  } catch (error) {
    if (!isLockWaitTimeout(error)) throw error;
    await decideApart(run, names, claims, results, error as DriverError);
  }
}

/** Some transaction holds the row of at least one key: the other claims do not wait for it. */
async function decideApart(
  run: Run,
  names: Tables,
  claims: readonly AcquireClaim[],
  results: Map<string, Outcome<AcquireResult>>,
  error: DriverError,
) {
  const locked = await lockedKeys(run, names, claims);
  const free = claims.filter(({ key }) => !locked.has(key));
  for (const { key } of claims) results.set(key, error);
  // When none is locked any more, or all are: once more, together, and this time the answer stands.
  const others = free.length === 0 ? claims : free;
  try {
    for (const [key, result] of await attempt(run, names, others)) results.set(key, result);
  } catch (again) {
    if (!isDriverError(again)) throw again;
    for (const { key } of others) results.set(key, again);
  }
}

async function lockedKeys(run: Run, { leases }: Tables, claims: readonly AcquireClaim[]): Promise<Set<string>> {
  const from = `SELECT lock_key FROM ${leases} FORCE INDEX (PRIMARY) WHERE lock_key IN (${list(claims.map(({ key }) => key))})`;
  const all = await run(from);
  const lockable = new Set((await run(`${from} FOR UPDATE SKIP LOCKED`)).rows.map(([key]) => String(key)));
  return new Set(all.rows.map(([key]) => String(key)).filter((key) => !lockable.has(key)));
}

/** The verdicts by key, in a few statements however many claims. */
async function attempt(run: Run, names: Tables, claims: readonly AcquireClaim[]): Promise<Map<string, AcquireResult>> {
  const exclusive = claims.filter(({ mode }) => mode === "exclusive");
  const shared = claims.filter(({ mode }) => mode === "shared");
  const results = new Map<string, AcquireResult>();
  const write = (sql: string | Statement) => run(sql, { waitOnce: true });
  const [only] = exclusive;
  if (only !== undefined) {
    const { insertId } = await write(grantExclusive(names, exclusive, false));
    if (claims.length === 1 && insertId > 0n) return results.set(only.key, granted(insertId, only));
  }
  if (shared.length > 0) {
    await write(openToHolders(names, shared));
    await write(grantShared(names, shared));
  }
  await settle(run, names, claims, results);
  // Not behind an exclusive lease, so behind shared ones, or on a key that had some: who decides that has to look for holders.
  const unclear = exclusive.filter(({ key }) => !results.has(key));
  if (unclear.length > 0) {
    await write(grantExclusive(names, unclear, true));
    await settle(run, names, unclear, results);
  }
  const behindHolders = claims.filter(({ key }) => !results.has(key));
  const holders = behindHolders.length === 0 ? [] : await readHolders(run, names, behindHolders);
  for (const claim of behindHolders) {
    const inTheWay = holders.filter(({ key }) => key === claim.key);
    results.set(claim.key, refusal(claim, inTheWay));
  }
  return results;
}

/** Notes who was granted, and who is behind an exclusive lease. */
async function settle(run: Run, names: Tables, claims: readonly AcquireClaim[], results: Map<string, AcquireResult>): Promise<void> {
  const exclusive = new Map<string, Lease>();
  const shared = new Map<string, Lease>();
  // A batch has one claim for each key, and of the shared leases only those of its owners are read.
  for (const lease of await readLeases(run, names, claims)) (lease.mode === "exclusive" ? exclusive : shared).set(both(lease), lease);
  const holders = new Map([...exclusive.values()].map((lease) => [lease.key, lease]));
  for (const claim of claims) {
    const own = (claim.mode === "exclusive" ? exclusive : shared).get(both(claim));
    const holder = holders.get(claim.key);
    if (own !== undefined) results.set(claim.key, granted(own.token, claim));
    else if (holder !== undefined) results.set(claim.key, refusal(claim, [holder]));
  }
}

/** One string for key and owner that no other pair has. */
function both({ key, owner }: { key: string; owner: string }): string {
  return `${key.length}:${key}${owner}`;
}

function granted(token: bigint, claim: AcquireClaim): AcquireResult {
  return { acquired: true, token, ttlMs: micros(claim.ttlMs) / 1_000 };
}

function refusal(claim: AcquireClaim, leases: readonly Lease[]): AcquireResult {
  const inTheWay = leases.filter(({ owner }) => owner !== claim.owner).sort((a, b) => a.remainingMs - b.remainingMs);
  const [holder] = inTheWay;
  // It ended since, or it is the owner's own in the other mode, which is not in anybody's way for long.
  if (holder === undefined) return { acquired: false };
  // An exclusive claim needs all of them gone, a shared one as many as are too many.
  const needed =
    claim.mode === "exclusive" || holder.mode === "exclusive" ? inTheWay.length : inTheWay.length - (claim.limit ?? noLimit) + 1;
  const last = inTheWay[Math.min(Math.max(needed, 1), inTheWay.length) - 1] as Lease;
  return { acquired: false, retryAfterMs: Math.ceil(last.remainingMs), holder: last };
}

/**
 * One row for each claim; a row that is there is taken over if its lease is over and no holder of the second table lives. Whether there is
 * one need not be asked (`withHolders`) for the keys that are only ever locked exclusively.
 *
 * - The assignments run from left to right, each seeing what those before it wrote. The condition must be decided once (two readings of the
 *   clock differ), so its answer is kept in the row: `created_at > updated_at` holds only between the first assignment and the last.
 * - The token comes from the row that is locked by now. An id or a time that was fixed when the statement began may be smaller than the
 *   token of a lease that was granted while it waited (R6).
 * - `VALUES(column)`: what MySQL calls its successor, a row alias, MariaDB does not know.
 * - `LAST_INSERT_ID(expr)` tells the verdict of a single claim in the answer itself: its token, or 0.
 */
function grantExclusive(names: Tables, claims: readonly AcquireClaim[], withHolders: boolean): string | Statement {
  const statement: Statement = (param) => grantExclusiveSql(names, claims, withHolders, param);
  return claims.length === 1 ? statement : statement(literal);
}

function grantExclusiveSql(names: Tables, claims: readonly AcquireClaim[], withHolders: boolean, param: Param): string {
  const { leases, holders, leasesKey } = names;
  const rows = newRows(
    names,
    claims,
    param,
    (c, token) => `${c.key}, ${c.owner}, LAST_INSERT_ID(${token}), ${plus(began, c.ttl)}, ${began}, ${began}, ${c.note}`,
  );
  const living = `SELECT 1 FROM ${holders} h FORCE INDEX (PRIMARY) WHERE h.lock_key = ${leasesKey} AND h.expires_at > ${now} LOCK IN SHARE MODE`;
  const above = `SELECT COALESCE(MAX(h.token), 0) + 1 FROM ${holders} h FORCE INDEX (PRIMARY) WHERE h.lock_key = ${leasesKey} LOCK IN SHARE MODE`;
  const free = withHolders ? `NOT (shared AND EXISTS (${living}))` : "shared = 0";
  const aboveHolders = withHolders ? `, IF(shared, (${above}), 0)` : "";
  const mine = `(owner = VALUES(owner) AND expires_at > ${now})`;
  return `INSERT INTO ${leases} (lock_key, owner, token, expires_at, created_at, updated_at, metadata) ${rows}
ON DUPLICATE KEY UPDATE
  created_at = IF(expires_at <= ${now} AND ${free}, GREATEST(${now}, ${plus("updated_at", 1)}), created_at),
  owner = IF(created_at > updated_at, VALUES(owner), owner),
  metadata = IF(created_at > updated_at, VALUES(metadata), metadata),
  expires_at = IF(created_at > updated_at OR ${mine}, GREATEST(expires_at, ${plus(now, between("VALUES(updated_at)", "VALUES(expires_at)"))}), expires_at),
  token = IF(created_at > updated_at,
    LAST_INSERT_ID(GREATEST(token + 1, VALUES(token)${aboveHolders})),
    IF(${mine}, LAST_INSERT_ID(token), token + LAST_INSERT_ID(0))),
  shared = IF(created_at > updated_at, 0, shared),
  updated_at = GREATEST(updated_at, created_at)`;
}

/** From here on exclusive claims look for holders. A row that is there keeps its lease. */
function openToHolders(names: Tables, claims: readonly AcquireClaim[]): string {
  const rows = newRows(names, claims, literal, (c, token) => `${c.key}, x'', ${token}, ${ended}, ${began}, ${began}, 1`);
  return `INSERT INTO ${names.leases} (lock_key, owner, token, expires_at, created_at, updated_at, shared) ${rows}
ON DUPLICATE KEY UPDATE shared = 1`;
}

/** The columns of a claim, each in the order in which the row names them. */
type ClaimColumns = { readonly key: string; readonly owner: string; readonly ttl: string; readonly note: string };

/** The rows of an insertion, with the least token they may get. One claim is told without a table of claims, which is the faster. */
function newRows(
  { floor }: Tables,
  claims: readonly AcquireClaim[],
  param: Param,
  row: (c: ClaimColumns, token: string) => string,
): string {
  const [only] = claims;
  if (claims.length === 1 && only !== undefined) {
    const columns: ClaimColumns = {
      get key() {
        return param(Buffer.from(only.key));
      },
      get owner() {
        return param(Buffer.from(only.owner));
      },
      get ttl() {
        return param(micros(only.ttlMs));
      },
      get note() {
        return param(only.metadata === undefined ? null : Buffer.from(only.metadata));
      },
    };
    return `SELECT ${row(columns, leastToken("MAX(f.token_floor)"))} FROM ${floor} f WHERE f.id = 1 LOCK IN SHARE MODE`;
  }
  const table = claimTable(
    ["claim_key", "claim_owner", "ttl", "note"],
    claims.map(({ key, owner, ttlMs, metadata }) => [
      bytes(key),
      bytes(owner),
      micros(ttlMs),
      metadata === undefined ? "NULL" : bytes(metadata),
    ]),
  );
  const columns = row({ key: "c.claim_key", owner: "c.claim_owner", ttl: "c.ttl", note: "c.note" }, leastToken("f.token_floor"));
  return `SELECT ${columns} FROM (${table}) c LEFT JOIN ${floor} f ON f.id = 1 WHERE c.ttl > 0 LOCK IN SHARE MODE`;
}

/**
 * One slot for each shared claim that is admitted: the owner's own, one whose lease is over, or a new one.
 *
 * The key's row is locked first: each subquery needs a column of it (`k.token`, which is never 0), so that no optimizer can count before the
 * lock is won; and they are locking reads, which see what others committed during the wait.
 */
function grantShared(names: Tables, claims: readonly AcquireClaim[]): string {
  const { leases, holders } = names;
  const table = claimTable(
    ["lock_key", "owner", "ttl", "most", "metadata"],
    claims.map(({ key, owner, ttlMs, limit, metadata }) => [
      bytes(key),
      bytes(owner),
      micros(ttlMs),
      Math.min(limit ?? noLimit, noLimit),
      metadata === undefined ? "NULL" : bytes(metadata),
    ]),
  );
  const slots = (what: string, where = "") =>
    `(SELECT ${what} FROM ${holders} s FORCE INDEX (PRIMARY) WHERE s.lock_key = k.lock_key AND k.token > 0${where} LOCK IN SHARE MODE)`;
  return `INSERT INTO ${holders} (lock_key, slot, owner, token, expires_at, created_at, updated_at, metadata)
SELECT k.lock_key,
  COALESCE(${slots("MIN(s.slot)", " AND s.owner = c.owner")}, ${slots("MIN(s.slot)", ` AND s.expires_at <= ${now}`)}, ${slots("COALESCE(MAX(s.slot), 0) + 1")}),
  c.owner, GREATEST(k.token + 1, ${slots("COALESCE(MAX(s.token), 0) + 1")},
    ${leastToken(`(SELECT token_floor FROM ${names.floor} WHERE id = 1 LOCK IN SHARE MODE)`)}),
  ${plus(now, "c.ttl")}, ${now}, ${now}, c.metadata
FROM (${table}) c STRAIGHT_JOIN ${leases} k FORCE INDEX (PRIMARY) ON k.lock_key = c.lock_key
WHERE k.shared = 1 AND k.expires_at <= ${now}
  AND ${slots("COUNT(*)", ` AND s.expires_at > ${now} AND s.owner <> c.owner`)} < c.most
FOR UPDATE
ON DUPLICATE KEY UPDATE
  created_at = IF(${holders}.expires_at <= ${now}, GREATEST(VALUES(created_at), ${plus(`${holders}.updated_at`, 1)}), ${holders}.created_at),
  owner = IF(${holders}.created_at > ${holders}.updated_at, VALUES(owner), ${holders}.owner),
  token = IF(${holders}.created_at > ${holders}.updated_at, VALUES(token), ${holders}.token),
  metadata = IF(${holders}.created_at > ${holders}.updated_at, VALUES(metadata), ${holders}.metadata),
  expires_at = IF(${holders}.owner = VALUES(owner), GREATEST(${holders}.expires_at, VALUES(expires_at)), ${holders}.expires_at),
  updated_at = GREATEST(${holders}.updated_at, ${holders}.created_at)`;
}
