/** The part of etcd's v3 protocol that the driver speaks, in the shape of etcd3's protobuf loader: 64-bit numbers are strings, bytes are Buffers. */
import { malformed } from "./failures.js";

/** Half open: `[key, range_end)`; one key when there is no `range_end`. */
export interface Range {
  readonly key: Buffer;
  readonly range_end?: Buffer;
}

export interface Compare extends Range {
  readonly target: "Create" | "Mod" | "Version";
  readonly result: "Equal" | "Greater" | "Less";
  readonly create_revision?: string;
  readonly mod_revision?: string;
  readonly version?: string;
}

export interface RangeRequest extends Range {
  readonly limit?: number;
  readonly count_only?: boolean;
  readonly sort_order?: "Ascend" | "Descend";
  readonly sort_target?: "Create";
  readonly max_create_revision?: string;
}

export interface Txn {
  readonly compare: readonly Compare[];
  readonly success: readonly RequestOp[];
  readonly failure?: readonly RequestOp[];
}

export type RequestOp =
  | { readonly request_range: RangeRequest }
  | { readonly request_put: { readonly key: Buffer; readonly value: Buffer; readonly lease: string } }
  | { readonly request_delete_range: Range }
  | { readonly request_txn: Txn };

export interface KeyValue {
  readonly key: Buffer;
  readonly value: Buffer;
  readonly create_revision: string;
  readonly mod_revision: string;
  readonly lease: string;
}

interface Header {
  readonly revision: string;
}

export interface RangeResponse {
  readonly header: Header;
  readonly kvs: readonly KeyValue[];
  readonly more: boolean;
  readonly count: string;
}

export interface ResponseOp {
  readonly response_range?: RangeResponse;
  readonly response_txn?: TxnResponse;
}

export interface TxnResponse {
  readonly header: Header;
  readonly succeeded: boolean;
  readonly responses: readonly ResponseOp[];
}

export interface WatchResponse {
  readonly watch_id: string;
  readonly created: boolean;
  readonly canceled: boolean;
  readonly cancel_reason: string;
  readonly events: readonly unknown[];
}

/** No key in the range exists. A compare of create revisions is true for an empty range; one of values would be false. */
export const absent = (range: Range): Compare => createdIn(range, "Equal", "0");

/** The key exists and was created at that revision. */
export const createdAt = (key: Buffer, revision: string): Compare => ({
  key,
  target: "Create",
  result: "Equal",
  create_revision: revision,
});

/** Nothing in the range came after that revision. */
export const noneAfter = (range: Range, revision: string): Compare => createdIn(range, "Less", next(revision));

/** Nothing in the range came before that revision. */
export const noneBefore = (range: Range, revision: string): Compare => createdIn(range, "Greater", (BigInt(revision) - 1n).toString());

/** Field by field: to spread a range costs more than to encode it. */
function createdIn({ key, range_end }: Range, result: Compare["result"], create_revision: string): Compare {
  return range_end === undefined
    ? { key, target: "Create", result, create_revision }
    : { key, range_end, target: "Create", result, create_revision };
}

/** The key was last put at that revision; "0": it does not exist. */
export const modifiedAt = (key: Buffer, revision: string): Compare => ({ key, target: "Mod", result: "Equal", mod_revision: revision });

/** Never true: versions start at 0. */
export const impossible = (key: Buffer): Compare => ({ key, target: "Version", result: "Less", version: "0" });

export const next = (revision: string): string => (BigInt(revision) + 1n).toString();

export const read = (range: RangeRequest): RequestOp => ({ request_range: range });
export const remove = (range: Range): RequestOp => ({ request_delete_range: range });
export const put = (key: Buffer, value: Buffer, lease: string): RequestOp => ({ request_put: { key, value, lease } });

/** What the read at `index` of a transaction's answers found first. @throws DriverError as `allOf` does. */
export function firstOf(responses: readonly ResponseOp[], index: number): KeyValue | undefined {
  return allOf(responses, index)[0];
}

/** All that it found. @throws DriverError when there is no answer to that read: that is not to have found nothing. */
export function allOf(responses: readonly ResponseOp[], index: number): readonly KeyValue[] {
  const found = responses[index]?.response_range;
  if (found === undefined || found === null) throw malformed("a read has none").toDriverError(true);
  return found.kvs;
}
