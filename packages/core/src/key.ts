/** Keys and owners: what they may be, and how many bytes they take on the wire. */
import { InvalidLockKeyError } from "./errors.js";

/** The longest key and the longest owner, in bytes of UTF-8: what an indexed column holds on every backend. */
const longestNameBytes = 255;

/** @throws InvalidLockKeyError unless `key` is a string of 1 to 255 bytes of well-formed UTF-8. */
export function checkKey(key: unknown): asserts key is string {
  if (typeof key !== "string") throw new InvalidLockKeyError(`got ${describe(key)}`);
  const fault = faultOf(key);
  if (fault !== undefined) throw new InvalidLockKeyError(fault, key);
}

/** @throws TypeError or RangeError unless `owner` is a string of 1 to 255 bytes of well-formed UTF-8. */
export function checkOwner(owner: unknown): asserts owner is string {
  if (typeof owner !== "string")
    throw new TypeError(`owner must be a string of 1 to ${longestNameBytes} bytes of UTF-8, got ${describe(owner)}`);
  const fault = faultOf(owner);
  if (fault !== undefined) throw new RangeError(`owner must be a string of 1 to ${longestNameBytes} bytes of UTF-8; ${fault}`);
}

/** How a wrong value is named in an error: its type and, where short and harmless, the value. */
export function describe(value: unknown): string {
  if (value === null) return "null";
  if (typeof value === "number" || typeof value === "boolean" || typeof value === "undefined") return String(value);
  if (typeof value === "bigint") return `${value}n`;
  return Array.isArray(value) ? "an array" : `a value of type ${typeof value}`;
}

function faultOf(name: string): string | undefined {
  if (name.length === 0) return "got an empty string";
  // Well over nine in ten keys are short; a UTF-16 unit takes at most three bytes, so these need no count.
  if (name.length > longestNameBytes / 3) {
    const bytes = Buffer.byteLength(name);
    if (bytes > longestNameBytes) return `got ${bytes} bytes`;
  }
  // A lone surrogate has no UTF-8: two different keys would become the same replacement character on the wire.
  return name.isWellFormed() ? undefined : "got a lone surrogate";
}
