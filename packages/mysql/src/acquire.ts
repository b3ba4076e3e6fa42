/** Grants: conditional statements whose verdict falls while the key's row is locked, and what they read back. */
import { type AcquireClaim, type AcquireResult, type DriverError, isDriverError, type Outcome } from "@dlock/core";
import { isLockWaitTimeout } from "./faults.js";
import type { Run } from "./sessions.js";
import {
  began,
  between,
  type Columns,
  ended,
  leastToken,
  list,
  lockOnly,
  micros,
  nameType,
  noteType,
  now,
  numberType,
  plus,
  type Statement,
  sortByKey,
  statement,
  statementOnOne,
  type Tables,
  type Value,
} from "./sql.js";
import { type Lease, readHolders, readLeases } from "./views.js";

/** Many: even where sweeps follow one another without a pause, most tries meet none. */
const mostTries = 20;

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
async function attempt(run: Run, names: Tables, claims: readonly AcquireClaim[], tries = mostTries): Promise<Map<string, AcquireResult>> {
  const exclusive = claims.filter(({ mode }) => mode === "exclusive");
  const shared = claims.filter(({ mode }) => mode === "shared");
  const results = new Map<string, AcquireResult>();
  const write = (sql: Statement) => run(sql, { waitOnce: true });
  if (exclusive.length > 0) {
    const rows = exclusiveRows(exclusive);
    const { insertId } = await write(rows.length === 1 ? grantOneExclusive(names, rows[0] as Value[]) : grantExclusive(names, rows));
    // More than a claim's number: a token.
    if (insertId > exclusive.length) for (const claim of exclusive) results.set(claim.key, granted(insertId, claim));
  }
  if (shared.length > 0) {
    await write(
      openToHolders(
        names,
        shared.map(({ key }) => [key]),
      ),
    );
    await write(
      grantShared(
        names,
        shared.map(({ key, owner, ttlMs, limit, metadata = null }) => [
          key,
          owner,
          micros(ttlMs),
          Math.min(limit ?? noLimit, noLimit),
          metadata,
        ]),
      ),
    );
  }
  await settle(run, names, claims, results);
  // Not behind an exclusive lease, so behind shared ones, or on a key that had some: who decides that has to look for holders.
  const unclear = exclusive.filter(({ key }) => !results.has(key));
  if (unclear.length > 0) {
    await write(grantBesideHolders(names, exclusiveRows(unclear)));
    await settle(run, names, unclear, results);
  }
  const behindHolders = claims.filter(({ key }) => !results.has(key));
  const holders = behindHolders.length === 0 ? [] : await readHolders(run, names, behindHolders);
  const swept: AcquireClaim[] = [];
  for (const claim of behindHolders) {
    const inTheWay = holders.filter(({ key }) => key === claim.key);
    if (claim.mode === "shared" && inTheWay.length === 0) swept.push(claim);
    results.set(claim.key, refusal(claim, inTheWay));
  }
  // Nothing is in their way: the key's row, opened to holders, went with a sweep before it had any.
  if (swept.length > 0 && tries > 1) for (const [key, result] of await attempt(run, names, swept, tries - 1)) results.set(key, result);
  return results;
}

function exclusiveRows(claims: readonly AcquireClaim[]): Value[][] {
  return claims.map(({ key, owner, ttlMs, metadata = null }, index) => [key, owner, micros(ttlMs), metadata, claims.length - 1 - index]);
}

/** Of the claims without a verdict, notes who was granted, and who is behind an exclusive lease. */
async function settle(run: Run, names: Tables, all: readonly AcquireClaim[], results: Map<string, AcquireResult>): Promise<void> {
  const claims = all.filter(({ key }) => !results.has(key));
  if (claims.length === 0) return;
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
 * - `LAST_INSERT_ID(expr)` tells the common verdict in the answer itself: the token, if all claims were granted with the same one. A claim
 *   hands its number on to the next, and the last one the token, only if the one before did; one that was refused, or granted with another
 *   token than its new row would have had, leaves 0. Whatever else a server may do with the order of the rows, no token comes of it.
 */
const exclusiveColumns: Columns = {
  claim_key: nameType,
  claim_owner: nameType,
  ttl: numberType,
  note: noteType,
  following: numberType,
};

const grantExclusive = statement(exclusiveColumns, (names, claims) => exclusiveSql(names, severalRows(names, claims), false));
const grantOneExclusive = statementOnOne(exclusiveColumns, (names, column) => exclusiveSql(names, oneRow(names, column), false));
const grantBesideHolders = statement(exclusiveColumns, (names, claims) => exclusiveSql(names, severalRows(names, claims), true));

function severalRows({ floor }: Tables, claims: string): string {
  const least = leastToken("f.token_floor");
  const told = `LAST_INSERT_ID(IF(c.number = 1 OR LAST_INSERT_ID() = c.number - 1, IF(c.following = 0, ${least}, c.number), 0))`;
  return `SELECT c.claim_key, c.claim_owner, ${least} + 0 * ${told}, ${plus(began, "c.ttl")}, ${began}, ${began}, c.note
FROM ${claims} c LEFT JOIN ${storedFloor(floor)} f ON TRUE WHERE c.ttl > 0`;
}

function oneRow({ floor }: Tables, column: (name: string) => string): string {
  const least = leastToken(storedFloor(floor));
  const [key, owner, ttl, note] = ["claim_key", "claim_owner", "ttl", "note"].map(column) as [string, string, string, string];
  return `VALUES (${key}, ${owner}, LAST_INSERT_ID(${least}), ${plus(began, ttl)}, ${began}, ${began}, ${note})`;
}

function storedFloor(floor: string): string {
  return `(SELECT token_floor FROM ${floor} WHERE id = 1 LOCK IN SHARE MODE)`;
}

function exclusiveSql({ leases, holders, leasesKey }: Tables, rows: string, withHolders: boolean): string {
  const living = `SELECT 1 FROM ${holders} h FORCE INDEX (PRIMARY) WHERE h.lock_key = ${leasesKey} AND h.expires_at > ${now} LOCK IN SHARE MODE`;
  const above = `SELECT COALESCE(MAX(h.token), 0) + 1 FROM ${holders} h FORCE INDEX (PRIMARY) WHERE h.lock_key = ${leasesKey} LOCK IN SHARE MODE`;
  const free = withHolders ? `NOT (shared AND EXISTS (${living}))` : "shared = 0";
  const aboveHolders = withHolders ? `, IF(shared, (${above}), 0)` : "";
  const mine = `(owner = VALUES(owner) AND expires_at > ${now})`;
  return `INSERT INTO ${leases} (lock_key, owner, token, expires_at, created_at, updated_at, metadata)
${rows}
ON DUPLICATE KEY UPDATE
  created_at = IF(expires_at <= ${now} AND ${free}, GREATEST(${now}, ${plus("updated_at", 1)}), created_at),
  owner = IF(created_at > updated_at, VALUES(owner), owner),
  metadata = IF(created_at > updated_at, VALUES(metadata), metadata),
  expires_at = IF(created_at > updated_at OR ${mine}, GREATEST(expires_at, ${plus(now, between("VALUES(updated_at)", "VALUES(expires_at)"))}), expires_at),
  token = IF(created_at > updated_at,
    IF(token < VALUES(token)${withHolders ? " AND NOT shared" : ""}, VALUES(token), GREATEST(token + 1, VALUES(token)${aboveHolders}) + LAST_INSERT_ID(0)),
    token + LAST_INSERT_ID(0)),
  shared = IF(created_at > updated_at, 0, shared),
  updated_at = GREATEST(updated_at, created_at)`;
}

/** From here on exclusive claims look for holders. A row that is there keeps its lease. */
const openToHolders = statement(
  { claim_key: nameType },
  ({ leases, floor }, claims) => `INSERT INTO ${leases} (lock_key, owner, token, expires_at, created_at, updated_at, shared)
SELECT c.claim_key, x'', ${leastToken("f.token_floor")}, ${ended}, ${began}, ${began}, 1
FROM ${claims} c LEFT JOIN ${storedFloor(floor)} f ON TRUE WHERE c.number > 0
ON DUPLICATE KEY UPDATE shared = 1`,
);

/**
 * One slot for each shared claim that is admitted: the owner's own, one whose lease is over, or a new one.
 *
 * The key's row is locked first: each subquery needs a column of it (`k.token`, which is never 0), so that no optimizer can count before the
 * lock is won; and they are locking reads, which see what others committed during the wait.
 */
const sharedColumns: Columns = { lock_key: nameType, owner: nameType, ttl: numberType, most: numberType, note: noteType };

const grantShared = statement(sharedColumns, ({ leases, holders, floor }, claims) => {
  const slots = (what: string, where = "") =>
    `(SELECT ${what} FROM ${holders} s FORCE INDEX (PRIMARY) WHERE s.lock_key = k.lock_key AND k.token > 0${where} LOCK IN SHARE MODE)`;
  return `INSERT INTO ${holders} (lock_key, slot, owner, token, expires_at, created_at, updated_at, metadata)
SELECT k.lock_key,
  COALESCE(${slots("MIN(s.slot)", " AND s.owner = c.owner")}, ${slots("MIN(s.slot)", ` AND s.expires_at <= ${now}`)}, ${slots("COALESCE(MAX(s.slot), 0) + 1")}),
  c.owner, GREATEST(k.token + 1, ${slots("COALESCE(MAX(s.token), 0) + 1")},
    ${leastToken(storedFloor(floor))}),
  ${plus(now, "c.ttl")}, ${now}, ${now}, c.note
FROM ${claims} c
STRAIGHT_JOIN ${leases} k FORCE INDEX (PRIMARY) ON k.lock_key = CAST(c.lock_key AS BINARY)
WHERE k.shared = 1 AND k.expires_at <= ${now}
  AND (${slots("COUNT(*)", ` AND s.expires_at > ${now} AND s.owner = c.owner`)} > 0
    OR ${slots("COUNT(*)", ` AND s.expires_at > ${now} AND s.owner <> c.owner`)} < c.most)
FOR UPDATE ${lockOnly("k")}
ON DUPLICATE KEY UPDATE
  created_at = IF(${holders}.expires_at <= ${now}, GREATEST(VALUES(created_at), ${plus(`${holders}.updated_at`, 1)}), ${holders}.created_at),
  owner = IF(${holders}.created_at > ${holders}.updated_at, VALUES(owner), ${holders}.owner),
  token = IF(${holders}.created_at > ${holders}.updated_at, VALUES(token), ${holders}.token),
  metadata = IF(${holders}.created_at > ${holders}.updated_at, VALUES(metadata), ${holders}.metadata),
  expires_at = IF(${holders}.owner = VALUES(owner), GREATEST(${holders}.expires_at, VALUES(expires_at)), ${holders}.expires_at),
  updated_at = GREATEST(${holders}.updated_at, ${holders}.created_at)`;
});
