// Whatever comes back from a server, a proxy or a client that is in the middle of something else: an answer that can be relied upon, or a
// DriverError that says "unknown". A malformed answer is never a yes.
import fc from "fast-check";
import { Redis } from "ioredis";
import { describe, expect, it } from "vitest";
import { testOptions, testUrls } from "../../core/test/fuzz/driver-options.ts";
import { testReplies } from "../../core/test/fuzz/replies.ts";
import { backend } from "../src/backend.ts";
import { redisDriver } from "../src/index.ts";
import { agreement } from "../src/protocol.ts";
import { call, exclusive } from "./claims.ts";

/** A client that says it is connected, and answers scripts and scans with what it is told. */
class ScriptedRedis extends Redis {
  readonly #reply: unknown;

  constructor(reply: unknown) {
    super({ lazyConnect: true });
    this.status = "ready";
    this.stream = { writable: true, bytesRead: 0, destroyed: false } as never;
    this.#reply = reply;
  }

  override sendCommand(command: { name: string; args: unknown[] }): Promise<unknown> {
    if (command.name === "get") return Promise.resolve(agreement);
    return this.#reply instanceof Error ? Promise.reject(this.#reply) : Promise.resolve(this.#reply);
  }
}

const open = (reply: unknown) => redisDriver({ client: new ScriptedRedis(reply) });

const now = 1_700_000_000_000_000;
const token = "1700000000000000";
const [right, sharer] = [`${token}002me`, `1700000060000${"0".repeat(3)}${token}`];

/** What RESP can say, and what a careless client library might make of it. */
const scalar = fc.oneof(
  fc.constantFrom<unknown>(null, undefined, "", "OK", "QUEUED", "0", "1", "-1", "!", "!FOREIGN", "x", "s", token, right, sharer),
  fc.constantFrom<unknown>(2 ** 53, 1e300, 1n, true, {}, Number.NaN, Number.POSITIVE_INFINITY, -1, 0, 1, 2, now),
  fc.constantFrom("9".repeat(16), "9".repeat(400), "1".repeat(16), "1.5", "-5", "0x10", " 1"),
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.integer(),
);
const replies = fc.oneof(
  scalar,
  fc.array(fc.oneof(scalar, fc.array(scalar, { maxLength: 5 })), { maxLength: 5 }),
  // The time first, as in the right answers.
  fc.array(fc.oneof(scalar, fc.array(scalar, { maxLength: 5 })), { maxLength: 3 }).map((rest) => [now, ...rest]),
  fc.constantFrom("ERR unknown", "WRONGTYPE", "").map((message) => Object.assign(new Error(message), { name: "ReplyError" })),
  fc.constantFrom(null, "text", 5).map((cause) => Object.assign(new Error("odd"), { cause })),
);

/** Of a transaction that the client is in, of another command, or of none. */
const foreign = ["nothing", null, undefined, "", "OK", "QUEUED", 5, -1, Number.NaN, {}, [], [[]], true];
const noGrants = ["", "x", 5, null, token.slice(1), `${token}0`, "0".repeat(16), "9".repeat(16), "0x10", []];
const noHolders = [
  ["x"],
  ["z", right, 5],
  ["z", "me", sharer],
  ["x", 5, 5],
  ["x", right, "soon"],
  ["x", "me", 5],
  ["s", 5, sharer],
  ["s", "me"],
];
const noVerdicts = ["x", "", "01x", "1.0", " 1", 2, -1, null, true, [], [1], Number.NaN];
const noRefusals = noHolders.map(([kind, first, second]) =>
  kind === "s" || first === "me" ? [5, kind, first, second] : [second, kind, first],
);

describe("a reply:", () => {
  testReplies({
    open,
    any: replies,
    garbled: {
      acquire: [
        ...foreign,
        ...noGrants,
        [now, token],
        [now, token, token, token],
        ["soon", [5, "x", right], token],
        ...[...noGrants, ...noRefusals].map((answer) => [now, answer, token]),
      ],
      extend: [...foreign, [1], [1, 1, 1], ...noVerdicts.map((answer) => [answer, 1])],
      release: [...foreign, [1], [1, 1, 1], ...noVerdicts.map((answer) => [answer, 1])],
      inspect: [...foreign, [now], [now, 0, 0], ["soon", 0], ...[5, null, "x", ...noHolders].map((answer) => [now, answer])],
      list: [...foreign, [5], ["x", []], ["-1", []], ["1.5", []], ["5", 5], ["0"], ["0", "x"], ["0", [5]], [null, []], [["0"], []]],
    },
  });

  it.each([
    ["nothing", null],
    ["what a client in a transaction answers", "QUEUED"],
    ["a list for one claim more", [1, 1, 1]],
  ])("that is %s says so in the error", async (_what, reply) => {
    const claims = [exclusive("a"), exclusive("b")].map((claim) => ({ ...claim, token: 5n, longestMs: claim.ttlMs }));
    for (const operation of ["acquire", "extend", "release"] as const) {
      for (const outcome of await open(reply)[operation](claims, call))
        expect(outcome).toMatchObject({ applied: "unknown", message: expect.stringContaining("none of dlock's scripts") });
    }
  });
});

describe("an option:", () => {
  testUrls({
    fromUrl: backend.fromUrl,
    schemes: ["redis:", "rediss:", "http:"],
    paths: ["", "/0"],
    parameters: ["prefix", "sentinel", "cluster", "node", "sentinelUsername"],
    values: ["0", "-1", "1e3", "true", ""],
  });
  testOptions({
    create: redisDriver,
    sources: ["client", "connection", "cluster", "url"],
    source: { connection: {} },
    others: ["prefix", "onWarning", "clock"],
  });

  it("sentinel without a name is refused by name", () => {
    expect(() => backend.fromUrl(new URL("redis://localhost?sentinel="))).toThrow(/^the parameter "sentinel" is the name of a master/);
  });
});
