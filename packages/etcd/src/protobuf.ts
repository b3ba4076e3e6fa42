/**
 * Protobuf's wire format, as far as etcd's transactions need it: numbers, bytes and messages in messages. 64-bit numbers are decimal strings
 * outside, as everywhere in the driver; below 2^53, where nearly all of them are, they go through plain numbers.
 */

/** The kinds of a field. */
const kinds = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

const septet = 0x80;
/** Any number of so few digits is below 2^53. */
const plainDigits = 15;
const longestVarint = 10;

/** Writes from the end to the beginning: the length of a message, which stands before it, is known by the time it is due. */
export class Writer {
  #bytes: Buffer;
  /** The first byte written so far. */
  #at: number;
  /** The last number above 2^53, a lease mostly: all claims of a window have the same. */
  #long = "";
  #longBytes: Buffer = Buffer.alloc(0);

  /** @param room how many bytes to expect; it grows as needed. */
  constructor(room: number) {
    this.#bytes = Buffer.allocUnsafe(room);
    this.#at = room;
  }

  /** Where the next field will end: what `message` takes. */
  get end(): number {
    return this.#bytes.length - this.#at;
  }

  finish(): Buffer {
    return this.#bytes.subarray(this.#at);
  }

  /** Makes one message of everything written since `end` was that. */
  message(field: number, end: number): void {
    this.#varint(this.end - end);
    this.#tag(field, kinds.bytes);
  }

  bytes(field: number, value: Buffer): void {
    this.#reserve(value.length);
    this.#at -= value.length;
    this.#bytes.set(value, this.#at);
    this.#varint(value.length);
    this.#tag(field, kinds.bytes);
  }

  number(field: number, value: number): void {
    this.#varint(value);
    this.#tag(field, kinds.varint);
  }

  /** @param value in decimal, not negative. */
  int64(field: number, value: string): void {
    if (value.length <= plainDigits) this.#varint(Number(value));
    else {
      if (value !== this.#long) {
        this.#long = value;
        this.#longBytes = longVarint(BigInt(value));
      }
      this.#reserve(longestVarint);
      this.#at -= this.#longBytes.length;
      this.#bytes.set(this.#longBytes, this.#at);
    }
    this.#tag(field, kinds.varint);
  }

  #tag(field: number, kind: number): void {
    this.#varint(field * 8 + kind);
  }

  #varint(value: number): void {
    this.#reserve(longestVarint);
    if (value < septet) {
      this.#at -= 1;
      this.#bytes[this.#at] = value;
      return;
    }
    let length = 1;
    for (let rest = value; rest >= septet; rest = Math.floor(rest / septet)) length += 1;
    this.#at -= length;
    let at = this.#at;
    for (let rest = value; ; rest = Math.floor(rest / septet), at += 1) {
      if (rest < septet) {
        this.#bytes[at] = rest;
        return;
      }
      this.#bytes[at] = (rest % septet) + septet;
    }
  }

  #reserve(length: number): void {
    if (this.#at >= length) return;
    const written = this.finish();
    const larger = Buffer.allocUnsafe(2 * (this.#bytes.length + length));
    this.#at = larger.length - written.length;
    larger.set(written, this.#at);
    this.#bytes = larger;
  }
}

/** Reads a message field by field: `next` tells which one comes, and one of the others must take or skip it. */
export class Reader {
  readonly #bytes: Buffer;
  #at: number;
  readonly #end: number;
  #kind = 0;

  constructor(bytes: Buffer, from = 0, end = bytes.length) {
    this.#bytes = bytes;
    this.#at = from;
    this.#end = end;
  }

  /** The number of the next field; 0 when there is none. */
  next(): number {
    if (this.#at >= this.#end) return 0;
    const tag = this.#safeVarint();
    this.#kind = tag % 8;
    return (tag - this.#kind) / 8;
  }

  /** @throws RangeError for one above 2^53. */
  number(): number {
    this.#expect(kinds.varint);
    return this.#safeVarint();
  }

  int64(): string {
    this.#expect(kinds.varint);
    const from = this.#at;
    const value = this.#varint();
    if (value <= Number.MAX_SAFE_INTEGER) return String(value);
    let exact = 0n;
    for (let at = this.#at - 1; at >= from; at -= 1) exact = exact * 128n + BigInt((this.#bytes[at] as number) % septet);
    return BigInt.asIntN(64, exact).toString();
  }

  /** A copy: what is kept of an answer must not keep all of it. */
  bytes(): Buffer {
    const end = this.#endOfBytes();
    const copy = Buffer.from(this.#bytes.subarray(this.#at, end));
    this.#at = end;
    return copy;
  }

  message(): Reader {
    const end = this.#endOfBytes();
    const reader = new Reader(this.#bytes, this.#at, end);
    this.#at = end;
    return reader;
  }

  /** A field that nobody asked for: later servers send more than this one. */
  skip(): void {
    if (this.#kind === kinds.varint) this.int64();
    else if (this.#kind === kinds.bytes) this.#at = this.#endOfBytes();
    else if (this.#kind === kinds.fixed64) this.#at = this.#within(8);
    else if (this.#kind === kinds.fixed32) this.#at = this.#within(4);
    else throw new RangeError(`the answer of etcd has a field of the unknown kind ${this.#kind}`);
  }

  #expect(kind: number): void {
    if (this.#kind !== kind) throw new RangeError(`the answer of etcd has a field of the kind ${this.#kind} instead of ${kind}`);
  }

  #endOfBytes(): number {
    this.#expect(kinds.bytes);
    return this.#within(this.#safeVarint());
  }

  /** Where so many further bytes end. */
  #within(length: number): number {
    if (this.#at + length > this.#end) throw new RangeError("the answer of etcd ends too early");
    return this.#at + length;
  }

  #safeVarint(): number {
    const value = this.#varint();
    if (value > Number.MAX_SAFE_INTEGER) throw new RangeError("the answer of etcd has a number where none so large is expected");
    return value;
  }

  /** Not exact above 2^53. */
  #varint(): number {
    let value = 0;
    for (let unit = 1; ; unit *= septet) {
      // Ten bytes hold 64 bits. Without an end, a long run of them would make a value that compares with nothing.
      if (unit > 2 ** 63) throw new RangeError("the answer of etcd has a number that is too long");
      if (this.#at >= this.#end) throw new RangeError("the answer of etcd ends too early");
      const byte = this.#bytes[this.#at] as number;
      this.#at += 1;
      value += (byte % septet) * unit;
      if (byte < septet) return value;
    }
  }
}

function longVarint(value: bigint): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>= 7n) {
    if (rest < 128n) return Buffer.from([...bytes, Number(rest)]);
    bytes.push(Number(rest & 127n) + septet);
  }
}
