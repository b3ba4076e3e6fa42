// Whatever an etcd, a proxy or another program's record under our prefix holds: an answer that can be relied upon, or a DriverError; in time.
import fc from "fast-check";
import { describe } from "vitest";
import { testOptions, testUrls } from "../../core/test/fuzz/driver-options.ts";
import { testReplies } from "../../core/test/fuzz/replies.ts";
import { backend } from "../src/backend.ts";
import { etcdDriver } from "../src/index.ts";

/** What each method is answered with, as etcd3's protobuf loader, and our codec for transactions, make it of bytes. */
interface Replies {
  readonly txn: unknown;
  readonly range: unknown;
  readonly leaseGrant: unknown;
  readonly leaseTimeToLive: unknown;
}

/** A client of etcd3 whose only member answers what it is told; after a few answers it is silent, as a server that is asked for ever. */
function open(replies: Replies, strategy: "txn" | "mutex") {
  let left = 50;
  const makeUnaryRequest = (
    path: keyof Replies,
    _serialize: unknown,
    _read: unknown,
    _request: object,
    _options: object,
    done: (error: Error | null, reply?: unknown) => void,
  ) => {
    if (left-- > 0) queueMicrotask(() => done(null, replies[path]));
    else done(Object.assign(new Error("deadline exceeded"), { code: 4, details: "deadline exceeded" }));
    return { cancel: () => {} };
  };
  const methods = Object.fromEntries(["txn", "range", "leaseGrant", "leaseTimeToLive"].map((name) => [name, { path: name }]));
  const service = { ...methods, makeUnaryRequest, getChannel: () => ({ getTarget: () => "fuzz:2379" }) };
  return etcdDriver({ client: { pool: { hosts: [{ getServiceClient: () => service }], options: {} } } as never, strategy });
}

const number = fc.oneof(fc.constantFrom("0", "-1", "1", "5", "9007199254740993", "9223372036854775807"), fc.integer().map(String));
const values = [
  "",
  "{}",
  "null",
  "[]",
  '"text"',
  "5",
  "{",
  '{"owner":5}',
  '{"owner":"me"}',
  '{"owner":"me","ttl":"x","age":null,"held":{}}',
];
const nearly = [
  '{"owner":"me","ttl":5000,"age":0,"held":0}',
  '{"owner":"other","ttl":5000,"age":0,"held":0,"meta":5}',
  '{"owner":"me","ttl":-1,"age":1e308,"held":-5}',
];
const value = fc
  .oneof(fc.constantFrom(...values), fc.constantFrom(...nearly), fc.string({ unit: "binary", maxLength: 20 }))
  .map((text) => Buffer.from(text));
const recordNames = ["a\xfftx", "a\xffty0", "a\xffmx", "a\xffms0", "a\xffmqme", "a\xff", "\xff", ""];
const nameOf = (text: string) => Buffer.from(`lock:${text}`, "latin1");
const name = fc.oneof(fc.constantFrom(...recordNames), fc.string({ maxLength: 5 })).map(nameOf);
const kv = fc.record({ key: name, value, create_revision: number, mod_revision: number, lease: number });
/** The parts that a message lacks are null, except of a transaction, which has a codec of its own. */
const header = fc.oneof({ weight: 5, arbitrary: fc.record({ revision: number }) }, { weight: 1, arbitrary: fc.constant(null) });
const known = fc.record({ revision: number });
const range = (head: fc.Arbitrary<unknown>) =>
  fc.record({ header: head, kvs: fc.array(kv, { maxLength: 3 }), more: fc.boolean(), count: number });
const nested = fc.record({
  header: known,
  succeeded: fc.boolean(),
  responses: fc.array(fc.record({ response_range: range(known) }), { maxLength: 2 }),
});
const operation = fc.oneof(fc.record({ response_txn: nested }), fc.record({ response_range: range(known) }), fc.constant({}));
const replies: fc.Arbitrary<Replies> = fc.record({
  txn: fc.record({ header: known, succeeded: fc.boolean(), responses: fc.array(operation, { maxLength: 3 }) }),
  range: range(header),
  leaseGrant: fc.oneof(fc.record({ ID: number, TTL: number }), fc.constant({ ID: "7", TTL: "100" })),
  leaseTimeToLive: fc.record({ TTL: number, grantedTTL: number }),
});

/** Right answers, to be garbled in one place. */
const leases = { leaseGrant: { ID: "7", TTL: "63" }, leaseTimeToLive: { TTL: "60", grantedTTL: "63" } };
const at = (revision: string) => ({ header: { revision } });
const txnOf = (claims: readonly unknown[], revision = "5"): Replies => ({
  ...leases,
  range: { ...at("5"), kvs: [], more: false, count: "0" },
  txn: { ...at(revision), succeeded: true, responses: claims },
});
const nestedOf = (succeeded: boolean, responses: readonly unknown[] = []) => ({ response_txn: { ...at("5"), succeeded, responses } });
const read = (...kvs: unknown[]) => ({ response_range: { ...at("5"), kvs, more: false, count: String(kvs.length) } });
const recordOf = (text: string, more = {}) => ({
  key: nameOf("a\xfftx"),
  value: Buffer.from(text),
  create_revision: "5",
  mod_revision: "5",
  lease: "7",
  ...more,
});
const [mine] = nearly as [string];
const outOfRange = ["0", "-1", "9007199254740992", "9223372036854775807"];
/** The whole is no answer, whatever was asked. */
const garbled = [
  txnOf([]),
  txnOf([nestedOf(true)]),
  txnOf([{}, {}]),
  txnOf([read(), read()]),
  ...outOfRange.map((revision) => txnOf([nestedOf(true), nestedOf(true)], revision)),
];
/** A look without what was looked at. */
const lookless = [true, false].flatMap((succeeded) =>
  [[{}], []].map((seen) => txnOf([nestedOf(succeeded, seen), nestedOf(succeeded, seen)])),
);
const shown = (record: unknown): Replies => ({ ...txnOf([]), range: { ...at("5"), kvs: [record], more: false, count: "1" } });
const garbledRecords = [
  ...values.map((text) => shown(recordOf(text))),
  ...outOfRange.map((create_revision) => shown(recordOf(mine, { create_revision }))),
];

describe.each(["txn", "mutex"] as const)("a reply, with the strategy %s:", (strategy) => {
  testReplies<Replies>({
    open: (reply) => open(reply, strategy),
    any: replies,
    garbled: {
      acquire: [
        ...garbled,
        ...lookless.slice(2),
        ...["0", "-1", "1"].map((TTL) => ({ ...txnOf([nestedOf(true), nestedOf(true)]), leaseGrant: { ID: "7", TTL } })),
        { ...txnOf([nestedOf(true), nestedOf(true)]), leaseGrant: { ID: "0", TTL: "63" } },
      ],
      extend: [...garbled, ...lookless],
      release: [...garbled, ...lookless],
      inspect: garbledRecords,
      list: garbledRecords,
    },
  });
});

describe("an option:", () => {
  testUrls({
    fromUrl: backend.fromUrl,
    schemes: ["etcd:", "http:"],
    paths: [""],
    parameters: ["node", "tls", "prefix", "strategy"],
    values: ["true", "txn"],
  });
  testOptions({
    create: etcdDriver,
    sources: ["client", "connection", "url"],
    source: { connection: { hosts: "localhost:1" } },
    others: ["prefix", "strategy"],
  });
});
