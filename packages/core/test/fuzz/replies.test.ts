/** The judges of drivers are judged here: they pass one that reads its server's answers with care, and catch every one that guesses. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type DriverError, driverError, type Holder, type LockDriver, type LockRecord } from "../../src/index.ts";
import { judgements, type Replies, testReplies } from "./replies.ts";

/** What the server of these drivers says: a list, with a verdict for each claim, or the holders there are. */
type Reply = unknown;

/** How a driver reads; each that is broken gets one of these wrong. */
interface Reader {
  /** The answers, one for each of `count` questions. @throws DriverError */
  list(reply: Reply, count?: number): readonly unknown[];
  verdict(answer: unknown): boolean | DriverError;
  token(answer: unknown): bigint;
  holder(answer: unknown): LockRecord;
  count(answer: unknown): number;
}

const malformed = () => driverError("that is no answer", { applied: "unknown", retryable: true });

const careful: Reader = {
  list(reply, count) {
    if (!Array.isArray(reply) || (count !== undefined && reply.length !== count)) throw malformed();
    return reply;
  },
  verdict: (answer) => (typeof answer === "boolean" ? answer : malformed()),
  token(answer) {
    if (typeof answer !== "string" || !/^[1-9]\d{0,14}$/.test(answer)) throw malformed();
    return BigInt(answer);
  },
  holder(answer) {
    const [key, owner, token, mode, remainingMs] = Array.isArray(answer) ? answer : [];
    if (typeof key !== "string" || typeof owner !== "string" || (mode !== "exclusive" && mode !== "shared")) throw malformed();
    if (typeof remainingMs !== "number" || !(remainingMs >= 0)) throw malformed();
    return { key, owner, token: this.token(token), mode, remainingMs, heldMs: 0 };
  },
  count(answer) {
    if (!Number.isSafeInteger(answer) || (answer as number) < 0) throw malformed();
    return answer as number;
  },
};

function driverOf(reader: Reader, reply: Reply): LockDriver {
  const verdicts = async (claims: readonly unknown[]) => reader.list(reply, claims.length).map((answer) => reader.verdict(answer));
  const records = () => reader.list(reply).map((answer) => reader.holder(answer));
  return {
    name: "read",
    capabilities: { scope: "network", minTtlMs: 1, ttlStepMs: 1, maxBatch: 100, watch: false, queue: false },
    acquire: async (claims) =>
      reader.list(reply, claims.length).map((answer, index) => {
        if (answer === false) return { acquired: false };
        return { acquired: true, token: reader.token(answer), ttlMs: claims[index]?.ttlMs ?? 0 };
      }),
    extend: verdicts,
    release: verdicts,
    inspect: async () => records().map(({ key: _, ...holder }): Holder => holder),
    async *list() {
      yield* records();
    },
    sweep: async () => reader.count(reader.list(reply, 1)[0]),
    ping: async () => {},
    close: async () => {},
  };
}

const cell = fc.oneof(fc.constantFrom<unknown>(null, true, false, 0, 1, -1, Number.NaN, "", "OK", "0", "5", "shared", "9".repeat(30)));
const repliesTo = (reader: Reader): Replies<Reply> => ({
  open: (reply) => driverOf(reader, reply),
  any: fc.oneof(
    cell,
    fc.array(cell, { maxLength: 3 }),
    fc.array(fc.tuple(fc.constant("a"), cell, cell, fc.constantFrom("shared", "other"), cell), { maxLength: 2 }),
  ),
  garbled: {
    acquire: [null, "OK", [], ["5"], ["5", "5", "5"], ["5", "x"], [true, false], ["0", "5"], ["9".repeat(16), "5"]],
    extend: [null, "OK", [true], [true, true, true], [true, 1], [false, null], ["OK", "OK"]],
    release: [null, "OK", [true], [true, true, true], [true, 1], [false, null], ["OK", "OK"]],
    inspect: [null, 5, [5], [["a", "o", "x", "shared", 5]], [["a", "o", "5", "other", 5]], [["a", "o", "5", "shared", Number.NaN]]],
    list: [null, 5, [5], [[5, "o", "5", "shared", 5]], [["a", null, "5", "shared", 5]], [["a", "o", "5", "shared", -5]]],
  },
});

describe("a driver that reads with care passes:", () => {
  testReplies(repliesTo(careful));
});

/** The judgements that a driver does not pass which reads all but this with care. */
async function failed(wrong: Partial<Reader>): Promise<string[]> {
  const replies = repliesTo({ ...careful, ...wrong });
  const names: string[] = [];
  for (const [name, judge] of Object.entries(judgements)) await judge(replies).catch(() => names.push(name));
  return names;
}

describe("a driver is caught that", () => {
  const broken: Record<string, Partial<Reader>> = {
    "takes what it cannot read for a yes": { verdict: (answer) => answer !== false },
    "takes what it cannot read for a no": { verdict: (answer) => answer === true },
    "takes every reply for a list": { list: (reply, count = 1) => (Array.isArray(reply) ? reply : Array(count).fill(reply)) },
    "takes a list of any length": { list: (reply) => careful.list(reply) },
    "takes no list for an empty one": { list: (reply, count) => (Array.isArray(reply) ? careful.list(reply, count) : []) },
    "says of what it cannot read that it was not applied": {
      verdict: (answer) => (typeof answer === "boolean" ? answer : driverError("odd", { applied: "no", retryable: true })),
    },
    "takes any number for a token": { token: (answer) => BigInt(answer as string) },
    "takes what is no token for the first one": { token: (answer) => (/^\d+$/.test(String(answer)) ? BigInt(String(answer)) : 1n) },
    "shows a holder whose mode it does not know": {
      holder: (answer) => careful.holder(Array.isArray(answer) ? answer.with(3, "exclusive") : answer),
    },
    "shows a time that is none": {
      holder: (answer) => ({ ...careful.holder((answer as unknown[]).with(4, 5)), remainingMs: Number((answer as unknown[])[4]) }),
    },
    "counts what is no number": { count: Number },
    "shows a key that is none": { holder: (answer) => careful.holder(Array.isArray(answer) ? answer.with(0, "a") : answer) },
  };

  it.each(Object.entries(broken))("%s", async (_what, wrong) => {
    expect(await failed(wrong)).not.toEqual([]);
  });

  it("shows what each of the judgements is for", async () => {
    const needed = new Set((await Promise.all(Object.values(broken).map(failed))).flat());
    expect([...needed].sort()).toEqual(Object.keys(judgements).sort());
  });
});
