/** Renewals and releases: one statement for a batch, which passes over rows that somebody's transaction holds and comes back to them. */
import { randomBytes } from "node:crypto";
import { type DriverError, driverError, type ExtendClaim, type Outcome, type ReleaseClaim, systemClock } from "@dlock/core";
import { isLockWaitTimeout } from "./faults.js";
import { lockWaitMs } from "./session.js";
import { pause, type Run } from "./sessions.js";
import {
  type Columns,
  ended,
  list,
  lockOnly,
  micros,
  nameType,
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
import { readLeases } from "./views.js";

/** How long the rest of a batch waits for the rows that others hold, as a share of the time there is. */
const patience = 0.5;

/** The server's clock is slewed by less than this between two renewals; what outlasts `longestMs` by more was left by a step back. */
const slewMs = 20;

/** What the marks of this process begin with: no owner begins with that byte, which UTF-8 does not have. */
const ours = `ff${randomBytes(8).toString("hex")}`;
let releases = 0;

/** R8. The common answer, all of them, takes one statement. */
export async function extend(run: Run, names: Tables, claims: readonly ExtendClaim[], timeoutMs: number): Promise<Outcome<boolean>[]> {
  const sentAt = systemClock.now();
  const verdicts = new Map<ExtendClaim, Outcome<boolean>>();
  let pending = sortByKey(claims);
  const give = (claim: ExtendClaim, verdict: Outcome<boolean>) => {
    verdicts.set(claim, verdict);
  };
  for (let pauseMs = 2; pending.length > 0; pauseMs = Math.min(2 * pauseMs, 50)) {
    const extended = await renew(run, names, pending);
    if (extended === pending.length) {
      for (const claim of pending) give(claim, true);
      break;
    }
    // Before the reading: the server's answer is at least that much later than the claims were sent.
    const elapsedMs = systemClock.now() - sentAt;
    const found = await readLeases(run, names, pending);
    const locked: ExtendClaim[] = [];
    for (const claim of pending) {
      const lease = found.find(({ key, owner, token }) => key === claim.key && owner === claim.owner && token === claim.token);
      if (lease === undefined) give(claim, false);
      // What was asked for: to live so long from when it was sent. A lease that is taken for locked by mistake is renewed once more.
      else if (lease.remainingMs >= claim.ttlMs - elapsedMs) give(claim, true);
      else locked.push(claim);
    }
    pending = locked;
    if (pending.length === 0) break;
    if (elapsedMs + pauseMs > timeoutMs * patience) {
      for (const claim of pending) give(claim, heldByTransaction());
      break;
    }
    await pause(pauseMs);
  }
  return claims.map((claim) => verdicts.get(claim) as Outcome<boolean>);
}

/** How many were renewed: exclusive leases first; only if some are missing, shared ones. */
function renew(run: Run, names: Tables, claims: readonly ExtendClaim[]): Promise<number> {
  const rows = claims.map(({ key, owner, token, ttlMs, longestMs }) => [
    key,
    owner,
    token,
    micros(ttlMs),
    micros(Math.max(longestMs, ttlMs) + slewMs),
  ]);
  return inBoth(run, names, rows, renewal);
}

const renewal = changing(
  { ttl: numberType, longest: numberType },
  (c) =>
    `t.expires_at = IF(t.expires_at > ${plus(now, c("longest"))}, ${plus(now, c("ttl"))}, GREATEST(t.expires_at, ${plus(now, c("ttl"))})), ` +
    `t.updated_at = GREATEST(t.updated_at, ${now})`,
  true,
);

/** R9. A lease that is ended takes the mark of this call as its owner, so that nobody takes this for an earlier release. */
export async function release(run: Run, names: Tables, claims: readonly ReleaseClaim[], timeoutMs: number): Promise<Outcome<boolean>[]> {
  const sentAt = systemClock.now();
  const verdicts = new Map<ReleaseClaim, Outcome<boolean>>();
  const call = `${ours}${(releases++).toString(16).padStart(12, "0")}`;
  // Waiting for a row is the faster way when nobody holds one for long, and needs the time to find out.
  let passOver = timeoutMs < 3 * lockWaitMs;
  let uncounted = false;
  let pending = sortByKey(claims).map((claim, index) => ({ ...claim, claim, mark: `${call}${index.toString(16).padStart(4, "0")}` }));
  for (let pauseMs = 2; pending.length > 0; pauseMs = Math.min(2 * pauseMs, 50)) {
    const rows = pending.map(({ key, owner, token = null, mark }) => [key, owner, token, mark]);
    let released: number;
    try {
      released = await inBoth(run, names, rows, passOver ? freeing : freeingPatiently);
    } catch (error) {
      if (passOver || !isLockWaitTimeout(error)) throw error;
      passOver = true;
      // Then the exclusive leases were released, and only the server knows how many.
      uncounted ||= (error as DriverError).applied === "unknown";
      continue;
    }
    if (released === pending.length) {
      for (const { claim } of pending) verdicts.set(claim, true);
      break;
    }
    const keys = list(pending.map(({ key }) => key));
    const marks = await readMarks(
      run,
      names,
      keys,
      pending.map(({ mark }) => mark),
    );
    const found = await readLeases(run, names, pending);
    const locked: typeof pending = [];
    const gone: typeof pending = [];
    for (const entry of pending) {
      const { key, owner, token, claim, mark } = entry;
      if (marks.has(mark)) verdicts.set(claim, true);
      else if (found.some((lease) => lease.key === key && lease.owner === owner && (token === undefined || lease.token === token)))
        locked.push(entry);
      else gone.push(entry);
    }
    const seen = pending.length - locked.length - gone.length;
    settleGone(gone, uncounted ? undefined : released - seen, verdicts);
    pending = locked;
    if (pending.length === 0) break;
    if (systemClock.now() - sentAt + pauseMs > timeoutMs * patience) {
      for (const { claim } of pending) verdicts.set(claim, heldByTransaction());
      break;
    }
    await pause(pauseMs);
  }
  return claims.map((claim) => verdicts.get(claim) as Outcome<boolean>);
}

/** Rows without mark and without the lease: never ours, or ended by us and taken by the next holder since. The count tells which, or not. */
function settleGone(
  gone: readonly { claim: ReleaseClaim }[],
  ours: number | undefined,
  verdicts: Map<ReleaseClaim, Outcome<boolean>>,
): void {
  const verdict =
    ours === 0
      ? false
      : ours === gone.length
        ? true
        : driverError("the lock is free of this owner, but whether this call ended its lease cannot be told", {
            applied: "unknown",
            retryable: true,
          });
  for (const { claim } of gone) verdicts.set(claim, verdict);
}

/** Both take the first bytes of an owner; what is left of him fills the rest, so that the row keeps its length and is written in place. */
const markBytes = 17;
const freed = (c: Column) =>
  `t.expires_at = ${ended}, t.updated_at = GREATEST(t.updated_at, ${now}), t.owner = INSERT(t.owner, 1, ${markBytes}, UNHEX(${c("mark")}))`;
const freeing = changing({ mark: nameType }, freed, true);
const freeingPatiently = changing({ mark: nameType }, freed, false);

async function readMarks(run: Run, names: Tables, keys: string, marks: readonly string[]): Promise<Set<string>> {
  const mark = `LEFT(owner, ${markBytes})`;
  const where = `FORCE INDEX (PRIMARY) WHERE lock_key IN (${keys}) AND ${mark} IN (${marks.map((each) => `x'${each}'`).join(", ")})`;
  const { rows } = await run(`SELECT ${mark} FROM ${names.leases} ${where} UNION ALL SELECT ${mark} FROM ${names.holders} ${where}`);
  return new Set(rows.map(([found]) => found?.toString("hex") ?? ""));
}

type Make = (names: Tables, rows: readonly (readonly Value[])[]) => Statement;

/** A kind of change of the live leases of claims, which tell key, owner, token (NULL: whichever) and more: in either table. */
interface Change {
  readonly exclusive: Make;
  readonly shared: Make;
}

/** Changes exclusive leases and, only if some of the claims found none, shared ones; tells how many of the claims found theirs. */
async function inBoth(run: Run, names: Tables, rows: readonly (readonly Value[])[], change: Change): Promise<number> {
  const options = { waitOnce: true };
  const exclusive = await run(change.exclusive(names, rows), options);
  if (exclusive.affected === rows.length) return rows.length;
  const shared = await run(change.shared(names, rows), options);
  const changed = exclusive.affected + shared.affected;
  if (changed > rows.length) throw new TypeError("more leases than claims");
  return changed;
}

/** How a statement names what the claim at hand says. */
type Column = (name: string) => string;

/** @param passOver whether rows that others hold are left out. */
function changing(more: Columns, set: (c: Column) => string, passOver: boolean): Change {
  const columns: Columns = { lock_key: nameType, owner: nameType, token: numberType, ...more };
  const make = (target: (names: Tables) => string, primary: readonly string[]): Make => {
    const several = statement(columns, (names, claims) => severalSql(target(names), primary, claims, set, passOver));
    if (passOver) return several;
    const one = statementOnOne(columns, (names, column) => oneSql(target(names), column, set));
    return (names, rows) => (rows.length === 1 ? one(names, rows[0] as Value[]) : several(names, rows));
  };
  return {
    exclusive: make(({ leases }) => leases, ["lock_key"]),
    shared: make(({ holders }) => holders, ["lock_key", "slot"]),
  };
}

function oneSql(target: string, column: Column, set: (c: Column) => string): string {
  return `UPDATE ${target} t FORCE INDEX (PRIMARY) SET ${set(column)} WHERE t.lock_key = ${column("lock_key")} AND ${isLease(column)}`;
}

/** `LIMIT` keeps the optimizer from merging the inner query, which finds those that are free, into the outer one. */
function severalSql(target: string, primary: readonly string[], claims: string, set: (c: Column) => string, passOver: boolean): string {
  const column: Column = (name) => `c.${name}`;
  const sameKey = (row: string) => `${row}.lock_key = CAST(c.lock_key AS BINARY)`;
  const free =
    `(SELECT ${primary.map((name) => `f.${name}`).join(", ")}, f.owner FROM ${claims} c ` +
    `STRAIGHT_JOIN ${target} f FORCE INDEX (PRIMARY) ON ${sameKey("f")} WHERE f.owner = c.owner LIMIT 1000000 FOR UPDATE ${lockOnly("f")} SKIP LOCKED) free`;
  const found = passOver
    ? `STRAIGHT_JOIN ${free} ON ${sameKey("free")} AND free.owner = c.owner ` +
      `STRAIGHT_JOIN ${target} t FORCE INDEX (PRIMARY) ON ${primary.map((name) => `t.${name} = free.${name}`).join(" AND ")}`
    : `STRAIGHT_JOIN ${target} t FORCE INDEX (PRIMARY) ON ${sameKey("t")}`;
  return `UPDATE ${claims} c ${found} SET ${set(column)} WHERE ${isLease(column)}`;
}

function isLease(column: Column): string {
  return `t.owner = ${column("owner")} AND COALESCE(${column("token")}, t.token) = t.token AND t.expires_at > ${now}`;
}

function heldByTransaction(): DriverError {
  return driverError("a transaction holds the row of this lock", { applied: "no", retryable: true });
}
