/** The decisions: what becomes of one claim. Runs inside a write transaction, so that each decision is atomic and sees the last one. */
import type { AcquireClaim, AcquireResult, ExtendClaim, ReleaseClaim } from "@dlock/core";
import type { Leases } from "./leases.js";
import type { LeaseRow, Statements } from "./schema.js";

/** The statements of one transaction, and the moment it decides at. */
export interface Transaction {
  readonly sql: Statements;
  readonly leases: Leases;
  readonly now: bigint;
}

interface Live {
  row: LeaseRow;
  left: bigint;
}

/** What became of one acquire claim; a refusal comes with all leases of the key it was judged by. */
export type Decision = { readonly result: AcquireResult; readonly refusedBy?: readonly LeaseRow[] };

/** `mint` gives the next token. */
export function acquireOne(tx: Transaction, claim: AcquireClaim, mint: () => bigint): Decision {
  const { sql, leases, now } = tx;
  const ttl = micros(claim.ttlMs);
  const { refusal, own, ended } = judge(tx, claim);
  if (refusal !== undefined) return refusal;
  if (own !== undefined) {
    const given = longer(own.left, ttl);
    write(tx, own.row, given, given);
    return { result: { acquired: true, token: own.row.token, ttlMs: Math.floor(Number(given) / 1_000) } };
  }
  for (const row of ended) sql.remove(row.key, row.owner);
  const token = mint();
  sql.insert({
    key: claim.key,
    owner: claim.owner,
    token,
    mode: claim.mode,
    granted_at_us: now,
    expires_at_us: now + ttl,
    ttl_us: ttl,
    clock: leases.clock.identity,
    metadata: claim.metadata ?? null,
  });
  return { result: { acquired: true, token, ttlMs: Number(ttl / 1_000n) } };
}

/** The refusals of claims none of which may be granted now, which takes no write transaction to tell; else undefined. */
export function refuseAll(tx: Transaction, claims: readonly AcquireClaim[]): Decision[] | undefined {
  const refusals: Decision[] = [];
  for (const claim of claims) {
    const { refusal } = judge(tx, claim);
    if (refusal === undefined) return undefined;
    refusals.push(refusal);
  }
  return refusals;
}

/** Refused, or asked again by `own`, or free once the `ended` leases are removed. */
function judge(tx: Transaction, claim: AcquireClaim): { refusal?: Decision; own?: Live; ended: LeaseRow[] } {
  const { sql, leases, now } = tx;
  const ended: LeaseRow[] = [];
  const others: Live[] = [];
  let own: Live | undefined;
  const rows = sql.leasesOf(claim.key);
  for (const row of rows) {
    const left = leases.remaining(row, now);
    if (left <= 0n) ended.push(row);
    else if (row.owner === claim.owner) own = { row, left };
    else others.push({ row, left });
  }
  if (own !== undefined && own.row.mode === claim.mode) return { own, ended };
  const inTheWay = own === undefined ? blocking(claim, others) : [own];
  const last = inTheWay.at(-1);
  if (last === undefined) return { ended };
  const freeing = inTheWay[freedBy(claim, inTheWay)] ?? last;
  const result: AcquireResult = {
    acquired: false,
    retryAfterMs: Math.ceil(Number(freeing.left) / 1_000),
    holder: leases.describe(freeing.row, freeing.left, now),
  };
  return { refusal: { result, refusedBy: rows }, ended };
}

/** The live leases of others that refuse the claim, the first to end first; none when it may be granted. */
function blocking(claim: AcquireClaim, others: Live[]): Live[] {
  const sorted = others.sort((a, b) => (a.left < b.left ? -1 : 1));
  if (claim.mode === "exclusive") return sorted;
  const exclusive = sorted.filter((other) => other.row.mode === "exclusive");
  if (exclusive.length > 0) return exclusive;
  return claim.limit !== undefined && sorted.length >= claim.limit ? sorted : [];
}

/** Which of the leases in the way has to end for the claim to succeed: all of them, or as many as are too many for the limit. */
function freedBy(claim: AcquireClaim, inTheWay: Live[]): number {
  const limited = claim.mode === "shared" && claim.limit !== undefined && inTheWay[0]?.row.mode === "shared";
  return inTheWay.length - (limited ? claim.limit : 1);
}

export function extendOne(tx: Transaction, claim: ExtendClaim): boolean {
  const row = tx.sql.lease(claim.key, claim.owner);
  if (row === undefined || row.token !== claim.token) return false;
  const left = tx.leases.remaining(row, tx.now);
  if (left <= 0n) return false;
  const ttl = micros(claim.ttlMs);
  const keeps = left > ttl && left <= micros(claim.longestMs);
  write(tx, row, keeps ? left : ttl, ttl);
  return true;
}

export function releaseOne(tx: Transaction, claim: ReleaseClaim): boolean {
  const row = tx.sql.remove(claim.key, claim.owner, claim.token);
  return row !== undefined && tx.leases.remaining(row, tx.now) > 0n;
}

/** Lets the lease end `left` from now, unless that is where it stands already. */
function write(tx: Transaction, row: LeaseRow, left: bigint, ttl: bigint): void {
  const expires = tx.now + left;
  const clock = tx.leases.clock.identity;
  if (expires === row.expires_at_us && clock === row.clock) return;
  tx.sql.renew({ ...row, expires_at_us: expires, ttl_us: longer(left, ttl), clock });
}

/** A TTL in the file's unit, rounded up to a whole millisecond (`ttlStepMs`). */
function micros(ms: number): bigint {
  return BigInt(Math.max(1, Math.ceil(ms))) * 1_000n;
}

function longer(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
