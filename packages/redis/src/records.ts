/** Turns the records of the scripts into the contract's words. */
import type { AcquireResult, Holder, Outcome } from "@dlock/core";
import { refusedBy } from "./errors.js";

/** A script's answer for one claim that failed starts with `!`. */
export function failure(answer: unknown): string | undefined {
  return typeof answer === "string" && answer.startsWith("!") ? answer.slice(1) : undefined;
}

/** The answers of the acquire script, which are the first token when all are granted. */
export function acquisitions(claims: readonly { ttlMs: number }[], reply: unknown): Outcome<AcquireResult>[] {
  if (typeof reply === "string") {
    // Below 2^53, all of them.
    const first = Number(reply);
    return claims.map(({ ttlMs }, index) => granted(first + index, ttlMs));
  }
  const [nowUs, ...answers] = reply as [number | string, ...unknown[]];
  return claims.map(({ ttlMs }, index) => acquired(answers[index], ttlMs, Number(nowUs)));
}

function granted(token: string | number, ttlMs: number): AcquireResult {
  return { acquired: true, token: BigInt(token), ttlMs: Math.ceil(ttlMs) };
}

function acquired(answer: unknown, ttlMs: number, nowUs: number): Outcome<AcquireResult> {
  if (typeof answer === "string") {
    const failed = failure(answer);
    return failed === undefined ? granted(answer, ttlMs) : refusedBy(failed);
  }
  const [left, kind, first, second] = answer as [number | string, string, string, string | undefined];
  const leftMs = Number(left);
  const holder = kind === "x" ? exclusiveHolder(first, leftMs, nowUs) : sharedHolder(first, second as string, nowUs);
  return leftMs < 0 ? { acquired: false, holder } : { acquired: false, retryAfterMs: leftMs, holder };
}

/** The answers of the extend and release scripts, which are one number when all are yes. */
export function verdicts(claims: readonly unknown[], reply: unknown): Outcome<boolean>[] {
  if (!Array.isArray(reply)) return claims.map(() => true);
  return reply.map((answer) => {
    const failed = failure(answer);
    return failed === undefined ? Number(answer) === 1 : refusedBy(failed);
  });
}

/** The live holders of an answer of the inspect script, oldest first. */
export function holders(answer: unknown, nowUs: number): Holder[] {
  if (!Array.isArray(answer)) return [];
  const [kind, ...rest] = answer as string[];
  if (kind === "x") return [exclusiveHolder(rest[0] as string, Number(rest[1]), nowUs)];
  const found: Holder[] = [];
  for (let index = 0; index < rest.length; index += 2) {
    const holder = sharedHolder(rest[index] as string, rest[index + 1] as string, nowUs);
    if (holder.remainingMs >= 0) found.push(holder);
  }
  return found.sort((a, b) => (a.token < b.token ? -1 : 1));
}

function exclusiveHolder(value: string, leftMs: number, nowUs: number): Holder {
  // The length counts bytes, and the value is text by now.
  const bytes = Buffer.from(value.slice(19));
  const length = Number(value.slice(16, 19));
  const owner = bytes.toString("utf8", 0, length);
  return holder(owner, value.slice(0, 16), bytes.toString("utf8", length), "exclusive", Math.max(0, leftMs), nowUs);
}

function sharedHolder(owner: string, entry: string, nowUs: number): Holder {
  const leftMs = Number(entry.slice(0, 16)) - Math.floor(nowUs / 1_000);
  return holder(owner, entry.slice(16, 32), entry.slice(32), "shared", leftMs, nowUs);
}

/** A token is the time of its grant in microseconds, unless the server's clock went back: then the lease looks younger than it is. */
function holder(owner: string, token: string, metadata: string, mode: Holder["mode"], remainingMs: number, nowUs: number): Holder {
  const base = { owner, token: BigInt(token), mode, remainingMs, heldMs: Math.max(0, (nowUs - Number(token)) / 1_000) };
  return metadata === "" ? base : { ...base, metadata: metadata.slice(1) };
}
