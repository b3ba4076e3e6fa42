/** The codec of transactions against the one inside etcd3, which was made from etcd's own description of the protocol. */
import assert from "node:assert/strict";
import etcd3 from "etcd3";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { decodeTxnResponse, encodeTxn } from "../src/codec.ts";
import type { Compare, Range, RangeRequest, RequestOp, ResponseOp, Txn, TxnResponse } from "../src/wire.ts";

interface Described {
  requestSerialize(request: object): Buffer;
  responseSerialize(response: object): Buffer;
}

/** Never connects: only its description of the method is of interest. */
const client = new etcd3.Etcd3({ hosts: "127.0.0.1:1" });
afterAll(() => client.close());
const { pool } = client as unknown as { pool: { hosts: [{ getServiceClient(name: string): { txn: Described } }] } };
const theirs = pool.hosts[0].getServiceClient("KV").txn;

/** Leaves out what is undefined, as the sources do. */
const defined = <T extends object>(value: T): T => Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined)) as T;

const int64 = fc.oneof(
  fc.constantFrom("0", "127", "128", String(2 ** 53 - 1), String(2n ** 53n), String(2n ** 63n - 1n)),
  fc.bigInt(0n, 2n ** 63n - 1n).map(String),
  fc.nat().map(String),
);
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 40 }).map((array) => Buffer.from(array)),
  fc.integer({ min: 100, max: 3_000 }).map((length) => Buffer.alloc(length, "v")),
);
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const range = fc.record({ key: bytes, range_end: maybe(bytes) }).map((each) => defined(each) as Range);
const comparing = fc.oneof(
  fc.record({ target: fc.constant("Create"), result: fc.constantFrom("Equal", "Greater", "Less"), create_revision: int64 }),
  fc.record({ target: fc.constant("Mod"), result: fc.constant("Equal"), mod_revision: int64 }),
  fc.record({ target: fc.constant("Version"), result: fc.constant("Less"), version: int64 }),
);
const compare = fc.tuple(range, comparing).map(([where, what]) => ({ ...where, ...what }) as Compare);
const sorting = fc.record({
  limit: maybe(fc.nat()),
  count_only: maybe(fc.constant(true)),
  sort_order: maybe(fc.constantFrom("Ascend", "Descend")),
  sort_target: maybe(fc.constant("Create")),
  max_create_revision: maybe(int64),
});
const rangeRequest = fc.tuple(range, sorting).map(([where, how]) => ({ ...where, ...defined(how) }) as RangeRequest);
const flat = fc.oneof(
  rangeRequest.map((request_range): RequestOp => ({ request_range })),
  fc.record({ key: bytes, value: bytes, lease: int64 }).map((request_put): RequestOp => ({ request_put })),
  range.map((request_delete_range): RequestOp => ({ request_delete_range })),
);
/** As deep as the driver nests them: claims in a batch. */
const txnOf = (op: fc.Arbitrary<RequestOp>): fc.Arbitrary<Txn> =>
  fc
    .record({
      compare: fc.array(compare, { maxLength: 3 }),
      success: fc.array(op, { maxLength: 4 }),
      failure: maybe(fc.array(op, { maxLength: 3 })),
    })
    .map((each) => defined(each) as Txn);
const txn = txnOf(
  fc.oneof(
    flat,
    txnOf(flat).map((request_txn): RequestOp => ({ request_txn })),
  ),
);

/** Objects like those of the driver, for the strict comparison. */
const plain = { noNullPrototype: true } as const;
const header = int64.map((revision) => ({ revision }));
const keyValue = fc.record({ key: bytes, value: bytes, create_revision: int64, mod_revision: int64, lease: int64 }, plain);
const rangeResponse = fc.record({ header, kvs: fc.array(keyValue, { maxLength: 3 }), more: fc.boolean(), count: int64 }, plain);
const flatAnswer = rangeResponse.map((response_range): ResponseOp => ({ response_range }));
const answerOf = (op: fc.Arbitrary<ResponseOp>): fc.Arbitrary<TxnResponse> =>
  fc.record({ header, succeeded: fc.boolean(), responses: fc.array(op, { maxLength: 4 }) }, plain);
const answer = answerOf(
  fc.oneof(
    flatAnswer,
    answerOf(flatAnswer).map((response_txn): ResponseOp => ({ response_txn })),
  ),
);

describe("the codec of transactions", () => {
  it("writes what etcd3 writes, byte for byte", () => {
    fc.assert(
      fc.property(txn, (request) => {
        assert.ok(encodeTxn(request).equals(theirs.requestSerialize(request)));
      }),
    );
  });

  it("reads what etcd3 writes", () => {
    fc.assert(
      fc.property(answer, (response) => {
        assert.deepEqual(decodeTxnResponse(theirs.responseSerialize(response)), response);
      }),
    );
  });

  it("skips what the driver has no use for, and what later servers may send", () => {
    const sent = theirs.responseSerialize({
      header: { cluster_id: "18446744073709551615", member_id: "9372538179322589801", revision: "7", raft_term: "3" },
      succeeded: true,
      responses: [{ response_put: { header: { revision: "7" } } }, { response_delete_range: { header: { revision: "7" }, deleted: "1" } }],
    });
    // Fields 100 to 103: a number, eight bytes, two bytes with their length, four bytes.
    const unknown = Buffer.from("a006ff01" + "a9060102030405060708" + "b206020102" + "bd060f0f0f0f", "hex");
    expect(decodeTxnResponse(Buffer.concat([unknown, sent, unknown]))).toEqual({
      header: { revision: "7" },
      succeeded: true,
      responses: [{}, {}],
    });
  });

  it("refuses an answer that is cut short or garbled", () => {
    const sent = theirs.responseSerialize({
      header: { revision: "300" },
      succeeded: true,
      responses: [{ response_txn: { succeeded: true } }],
    });
    for (const length of [1, 2, 3, 4, sent.length - 1]) expect(() => decodeTxnResponse(sent.subarray(0, length))).toThrow(RangeError);
    expect(() => decodeTxnResponse(Buffer.from("a306", "hex"))).toThrow("unknown kind 3");
    expect(() => decodeTxnResponse(Buffer.from("10ffffffffffffffff7f", "hex"))).toThrow("none so large");
    // Not for ever, and not as a number that compares with nothing.
    expect(() => decodeTxnResponse(Buffer.from(`1a${"80".repeat(200)}01`, "hex"))).toThrow("too long");
    expect(() => decodeTxnResponse(Buffer.from("1805", "hex"))).toThrow("kind 0 instead of 2");
    expect(() => decodeTxnResponse(Buffer.from("120101", "hex"))).toThrow("kind 2 instead of 0");
    expect(() => decodeTxnResponse(Buffer.from("a90601", "hex"))).toThrow("too early");
  });
});
