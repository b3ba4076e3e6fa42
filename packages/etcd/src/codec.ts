/**
 * Transactions as bytes. Nearly all that is said to etcd is one with up to 120 others nested in it, and the general way (a checked copy of
 * the whole, its encoding, and back again with a default for every field) costs the client more than the claims themselves. Knows the fields
 * of wire.ts; their numbers are those of etcd's rpc.proto and kv.proto.
 */
import { Reader, Writer } from "./protobuf.js";
import type { Compare, KeyValue, Range, RangeRequest, RangeResponse, RequestOp, ResponseOp, Txn, TxnResponse } from "./wire.js";

const targets = { Version: 0, Create: 1, Mod: 2 };
const results = { Equal: 0, Greater: 1, Less: 2 };
const sortOrders = { Ascend: 1, Descend: 2 };
const sortTargets = { Create: 2 };

/** What a nested transaction with a key of usual length takes. */
const usualSize = 384;

export function encodeTxn(txn: Txn): Buffer {
  const writer = new Writer(usualSize * (txn.success.length + 1));
  writeTxn(writer, txn);
  return writer.finish();
}

export const decodeTxnResponse = (bytes: Buffer): TxnResponse => readTxn(new Reader(bytes));

/** All of this is written backwards: the last field first. */
function writeTxn(writer: Writer, { compare, success, failure = [] }: Txn): void {
  for (let index = failure.length - 1; index >= 0; index -= 1) writeOp(writer, 3, failure[index] as RequestOp);
  for (let index = success.length - 1; index >= 0; index -= 1) writeOp(writer, 2, success[index] as RequestOp);
  for (let index = compare.length - 1; index >= 0; index -= 1) writeCompare(writer, compare[index] as Compare);
}

function writeCompare(writer: Writer, { result, target, key, version, create_revision, mod_revision, range_end }: Compare): void {
  const { end } = writer;
  if (range_end !== undefined) writer.bytes(64, range_end);
  if (mod_revision !== undefined) writer.int64(6, mod_revision);
  if (create_revision !== undefined) writer.int64(5, create_revision);
  if (version !== undefined) writer.int64(4, version);
  writer.bytes(3, key);
  writer.number(2, targets[target]);
  writer.number(1, results[result]);
  writer.message(1, end);
}

function writeOp(writer: Writer, field: number, op: RequestOp): void {
  const { end } = writer;
  if ("request_txn" in op) {
    writeTxn(writer, op.request_txn);
    writer.message(4, end);
  } else if ("request_put" in op) {
    const { key, value, lease } = op.request_put;
    writer.int64(3, lease);
    writer.bytes(2, value);
    writer.bytes(1, key);
    writer.message(2, end);
  } else if ("request_range" in op) {
    writeRangeRequest(writer, op.request_range);
    writer.message(1, end);
  } else {
    writeRange(writer, op.request_delete_range);
    writer.message(3, end);
  }
  writer.message(field, end);
}

function writeRangeRequest(writer: Writer, request: RangeRequest): void {
  const { limit, sort_order, sort_target, count_only, max_create_revision } = request;
  if (max_create_revision !== undefined) writer.int64(13, max_create_revision);
  if (count_only === true) writer.number(9, 1);
  if (sort_target !== undefined) writer.number(6, sortTargets[sort_target]);
  if (sort_order !== undefined) writer.number(5, sortOrders[sort_order]);
  if (limit !== undefined) writer.number(3, limit);
  writeRange(writer, request);
}

function writeRange(writer: Writer, { key, range_end }: Range): void {
  if (range_end !== undefined) writer.bytes(2, range_end);
  writer.bytes(1, key);
}

function readTxn(reader: Reader): TxnResponse {
  let [revision, succeeded] = ["0", false];
  const responses: ResponseOp[] = [];
  for (let field = reader.next(); field > 0; field = reader.next()) {
    if (field === 1) revision = readRevision(reader.message());
    else if (field === 2) succeeded = reader.number() !== 0;
    else if (field === 3) responses.push(readOp(reader.message()));
    else reader.skip();
  }
  return { header: { revision }, succeeded, responses };
}

function readOp(reader: Reader): ResponseOp {
  let response: ResponseOp = {};
  for (let field = reader.next(); field > 0; field = reader.next()) {
    if (field === 1) response = { response_range: readRange(reader.message()) };
    else if (field === 4) response = { response_txn: readTxn(reader.message()) };
    else reader.skip();
  }
  return response;
}

function readRange(reader: Reader): RangeResponse {
  let [revision, more, count] = ["0", false, "0"];
  const kvs: KeyValue[] = [];
  for (let field = reader.next(); field > 0; field = reader.next()) {
    if (field === 1) revision = readRevision(reader.message());
    else if (field === 2) kvs.push(readKeyValue(reader.message()));
    else if (field === 3) more = reader.number() !== 0;
    else if (field === 4) count = reader.int64();
    else reader.skip();
  }
  return { header: { revision }, kvs, more, count };
}

function readKeyValue(reader: Reader): KeyValue {
  let key: Buffer = Buffer.alloc(0);
  let value: Buffer = Buffer.alloc(0);
  let [create_revision, mod_revision, lease] = ["0", "0", "0"];
  for (let field = reader.next(); field > 0; field = reader.next()) {
    if (field === 1) key = reader.bytes();
    else if (field === 2) create_revision = reader.int64();
    else if (field === 3) mod_revision = reader.int64();
    else if (field === 5) value = reader.bytes();
    else if (field === 6) lease = reader.int64();
    else reader.skip();
  }
  return { key, value, create_revision, mod_revision, lease };
}

function readRevision(reader: Reader): string {
  let revision = "0";
  for (let field = reader.next(); field > 0; field = reader.next()) {
    if (field === 3) revision = reader.int64();
    else reader.skip();
  }
  return revision;
}
