/** What the leases are: for verdicts, for people, and for the list. Plain reads that lock and change nothing. */
import { type Claim, type Holder, isServerToken, type LockRecord } from "@dlock/core";
import type { Cell } from "./client.js";
import type { Run } from "./sessions.js";
import { between, beyond, bytes, list, now, type Tables } from "./sql.js";

/** A live lease. */
export type Lease = LockRecord;

const pageSize = 500;

/** The live exclusive leases of the claims' keys, and the shared ones of the claims' owners. */
export async function readLeases(run: Run, names: Tables, claims: readonly Claim[]): Promise<Lease[]> {
  const keys = `lock_key IN (${list(claims.map(({ key }) => key))})`;
  const owners = `owner IN (${list(claims.map(({ owner }) => owner))})`;
  return select(run, `${view(names, "exclusive", keys)} UNION ALL ${view(names, "shared", `${keys} AND ${owners}`)}`);
}

/** All live shared leases of the claims' keys. */
export function readHolders(run: Run, names: Tables, claims: readonly Claim[]): Promise<Lease[]> {
  return select(run, view(names, "shared", `lock_key IN (${list(claims.map(({ key }) => key))})`));
}

/** The live leases of one key, oldest grant first. */
export async function inspectKey(run: Run, names: Tables, key: string): Promise<Holder[]> {
  const where = `lock_key = ${bytes(key)}`;
  const found = await select(run, `${view(names, "exclusive", where)} UNION ALL ${view(names, "shared", where)}`);
  return found.sort((a, b) => (a.token < b.token ? -1 : 1)).map(({ key: _, ...holder }) => holder);
}

/** Live leases whose keys start with `prefix`, one mode after the other, in pages that each are one statement. */
export async function* listLeases(ask: <T>(work: (run: Run) => Promise<T>) => Promise<T>, names: Tables, prefix: string) {
  const start = Buffer.from(prefix);
  // The first bytes after all that start so: the last byte of UTF-8 is never 255.
  const end = Buffer.from(start);
  if (end.length > 0) end.writeUInt8(end.readUInt8(end.length - 1) + 1, end.length - 1);
  const within = start.length === 0 ? "TRUE" : `lock_key >= ${bytes(start)} AND lock_key < ${bytes(end)}`;
  for (const mode of ["exclusive", "shared"] as const) {
    // Ordered as the table is: the server reads a page, and sorts nothing.
    const primary = mode === "exclusive" ? ["lock_key"] : ["lock_key", "slot"];
    let after = "TRUE";
    for (;;) {
      const page = await ask(async (run) => {
        const where = `${within} AND ${after} ORDER BY ${primary.join(", ")} LIMIT ${pageSize}`;
        const { rows } = await run(view(names, mode, where, primary[1] ?? "0"));
        return rows.map((row) => ({ lease: toLease(row.slice(0, -1)), slot: wholeNumber(row.at(-1)) }));
      });
      for (const { lease } of page) yield lease;
      const last = page.at(-1);
      if (last === undefined || page.length < pageSize) break;
      after = beyond(last.lease.key, primary.length === 1 ? undefined : last.slot);
    }
  }
}

function view(names: Tables, mode: "exclusive" | "shared", where: string, more?: string): string {
  return (
    `SELECT '${mode}', lock_key, owner, token, ${between(now, "expires_at")} remaining, ${between("created_at", now)}, metadata` +
    `${more === undefined ? "" : `, ${more}`} ` +
    `FROM ${mode === "exclusive" ? names.leases : names.holders} FORCE INDEX (PRIMARY) WHERE expires_at > ${now} AND ${where}`
  );
}

async function select(run: Run, sql: string): Promise<Lease[]> {
  const { rows } = await run(sql);
  return rows.map(toLease);
}

/** @throws TypeError for a row that is none of a lease. */
function toLease(row: readonly Cell[]): Lease {
  if (row.length !== 7) throw new TypeError("not a row of a lease");
  const [mode, key, owner, token, remaining, held, metadata] = row;
  return {
    key: text(key),
    owner: text(owner),
    token: tokenOf(token),
    mode: modeOf(mode),
    // Between the condition and this column the clock moved on.
    remainingMs: Math.max(Number(wholeNumber(remaining)) / 1_000, 0),
    heldMs: Math.max(Number(wholeNumber(held)) / 1_000, 0),
    ...(metadata === null ? {} : { metadata: text(metadata) }),
  };
}

function text(cell: Cell | undefined): string {
  if (!Buffer.isBuffer(cell)) throw new TypeError("not a text");
  return cell.toString();
}

function modeOf(cell: Cell | undefined): Lease["mode"] {
  const mode = text(cell);
  if (mode !== "exclusive" && mode !== "shared") throw new TypeError("not a mode");
  return mode;
}

function tokenOf(cell: Cell | undefined): bigint {
  const token = BigInt(wholeNumber(cell, /^\d+$/));
  if (!isServerToken(token)) throw new TypeError("not a token");
  return token;
}

/** As text, ready for a statement. @throws TypeError for what is none. */
export function wholeNumber(cell: Cell | undefined, form = /^-?\d{1,20}$/): string {
  const digits = text(cell);
  if (!form.test(digits)) throw new TypeError("not a whole number");
  return digits;
}
