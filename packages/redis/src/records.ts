/** Turns the records of the scripts into the contract's words. What has not the form of an answer is none, and above all no yes. */
import { type AcquireResult, type Holder, isServerToken, type Outcome } from "@dlock/core";
import { malformed, refusedBy } from "./errors.js";

/** A script's answer for one claim that failed starts with `!`. */
export function failure(answer: unknown): string | undefined {
  return typeof answer === "string" && answer.startsWith("!") ? answer.slice(1) : undefined;
}

/** The answers of the acquire script, which are the first token when all are granted. */
export function acquisitions(claims: readonly { ttlMs: number }[], reply: unknown): Outcome<AcquireResult>[] {
  if (Array.isArray(reply)) {
    const [nowUs, ...answers] = reply;
    return each(claims, answers, (answer, { ttlMs }) => acquired(answer, ttlMs, wholeNumber(nowUs)));
  }
  const first = read(reply, tokenOf);
  return claims.map(({ ttlMs }, index) => (typeof first === "bigint" ? granted(first + BigInt(index), ttlMs) : first));
}

function granted(token: bigint, ttlMs: number): AcquireResult {
  return { acquired: true, token, ttlMs: Math.ceil(ttlMs) };
}

function acquired(answer: unknown, ttlMs: number, nowUs: number): Outcome<AcquireResult> {
  if (typeof answer === "string") {
    const failed = failure(answer);
    return failed === undefined ? granted(tokenOf(answer), ttlMs) : refusedBy(failed);
  }
  const [left, kind, first, second] = answer as [unknown, string, string, string];
  const leftMs = wholeNumber(left);
  const holder = kindOf(kind) === "x" ? exclusiveHolder(first, leftMs, nowUs) : sharedHolder(first, second, nowUs);
  return leftMs < 0 ? { acquired: false, holder } : { acquired: false, retryAfterMs: leftMs, holder };
}

/** The answers of the extend and release scripts, which are one number when all are yes. */
export function verdicts(claims: readonly unknown[], reply: unknown): Outcome<boolean>[] {
  if (Array.isArray(reply)) return each(claims, reply, verdict);
  return claims.map(() => (reply === 1 || reply === "1" ? true : malformed(reply)));
}

function verdict(answer: unknown): Outcome<boolean> {
  const failed = failure(answer);
  if (failed !== undefined) return refusedBy(failed);
  const number = wholeNumber(answer);
  return number === 0 || number === 1 ? number === 1 : malformed(answer);
}

/** The answers of the inspect script with the server's time, one for each of `count` records. @throws DriverError when they are none. */
export function looked(reply: unknown, count: number): { nowUs: number; answers: unknown[] } {
  if (!Array.isArray(reply) || reply.length !== count + 1) throw malformed(reply);
  const [nowUs, ...answers] = reply;
  try {
    return { nowUs: wholeNumber(nowUs), answers };
  } catch {
    throw malformed(reply);
  }
}

/** A page of a scan, which leads on from its cursor. @throws DriverError when it is none. */
export function scanned(page: unknown, cursor: string): { next: string; names: readonly string[] } {
  const [next, names] = Array.isArray(page) ? page : [];
  const isCursor = (typeof next === "string" || typeof next === "number") && /^\d+$/.test(String(next));
  const leadsOn = isCursor && (String(next) === "0" || String(next) !== cursor);
  if (!leadsOn || !Array.isArray(names) || !names.every((name) => typeof name === "string")) throw malformed(page);
  return { next: String(next), names };
}

/** The live holders of an answer of the inspect script, oldest first. @throws DriverError when it failed, or is none. */
export function holders(answer: unknown, nowUs: number): Holder[] {
  const failed = failure(answer);
  if (failed !== undefined) throw refusedBy(failed);
  if (answer === 0 || answer === "0") return [];
  try {
    const [kind, ...rest] = answer as string[];
    if (kindOf(kind) === "x") return [exclusiveHolder(rest[0] as string, wholeNumber(rest[1]), nowUs)];
    const found: Holder[] = [];
    for (let index = 0; index < rest.length; index += 2) {
      const holder = sharedHolder(rest[index] as string, rest[index + 1] as string, nowUs);
      if (holder.remainingMs >= 0) found.push(holder);
    }
    return found.sort((a, b) => (a.token < b.token ? -1 : 1));
  } catch {
    throw malformed(answer);
  }
}

/** An answer for each claim. */
function each<C, T>(claims: readonly C[], answers: readonly unknown[], readOne: (answer: unknown, claim: C) => Outcome<T>): Outcome<T>[] {
  if (answers.length !== claims.length) return claims.map(() => malformed(answers));
  return claims.map((claim, index) => read(answers[index], (answer) => readOne(answer, claim)));
}

/** What cannot be read is no answer. */
function read<T>(answer: unknown, readIt: (answer: unknown) => Outcome<T>): Outcome<T> {
  try {
    return readIt(answer);
  } catch {
    return malformed(answer);
  }
}

/** As a number, or as text where the client is told to keep it so. @throws TypeError for anything else. */
function wholeNumber(value: unknown): number {
  const number = typeof value === "string" && /^-?\d+$/.test(value) ? Number(value) : value;
  if (!Number.isSafeInteger(number)) throw new TypeError("not a whole number");
  return number as number;
}

/** Sixteen digits, as the scripts write it: the number with which another script or command says yes is none. */
function tokenOf(value: unknown): bigint {
  const token = typeof value === "string" && /^\d{16}$/.test(value) ? BigInt(value) : undefined;
  if (!isServerToken(token)) throw new TypeError("not a token");
  return token;
}

function kindOf(value: unknown): "x" | "s" {
  if (value !== "x" && value !== "s") throw new TypeError("not a kind of record");
  return value;
}

function exclusiveHolder(value: string, leftMs: number, nowUs: number): Holder {
  // The length counts bytes, and the value is text by now.
  const bytes = Buffer.from(value.slice(19, -1));
  const length = wholeNumber(value.slice(16, 19));
  const owner = bytes.toString("utf8", 0, length);
  return holder(owner, value.slice(0, 16), bytes.toString("utf8", length), "exclusive", Math.max(0, leftMs), nowUs);
}

function sharedHolder(owner: string, entry: string, nowUs: number): Holder {
  if (typeof owner !== "string") throw new TypeError("not an owner");
  const leftMs = wholeNumber(entry.slice(0, 16)) - Math.floor(nowUs / 1_000);
  return holder(owner, entry.slice(16, 32), entry.slice(32), "shared", leftMs, nowUs);
}

/** A token is the time of its grant in microseconds, unless the server's clock went back: then the lease looks younger than it is. */
function holder(owner: string, token: string, metadata: string, mode: Holder["mode"], remainingMs: number, nowUs: number): Holder {
  const base = { owner, token: tokenOf(token), mode, remainingMs, heldMs: Math.max(0, (nowUs - Number(token)) / 1_000) };
  return metadata === "" ? base : { ...base, metadata: metadata.slice(1) };
}
