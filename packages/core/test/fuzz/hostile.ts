/** Values that nobody should give and no server should answer, and what may come of them: a typed error that names what is wrong. */
import { inspect } from "node:util";
import fc from "fast-check";
import { LockError } from "../../src/index.ts";

/** What hostile values throw of their own: whoever gives a getter that throws gets to see what it throws. */
export class Thrown extends Error {
  constructor() {
    super("thrown by the value itself");
  }
}

/** A value that is made when it is needed: some throw as soon as the generator looks at them, and some can be used once only. */
export class Made {
  readonly make: () => unknown;

  constructor(make: () => unknown) {
    this.make = make;
  }

  /** For the report of a counterexample. */
  [fc.toStringMethod](): string {
    const { name } = this.make;
    return name === "" ? `made by ${this.make}` : name;
  }
}

const made = <T>(values: fc.Arbitrary<T>): fc.Arbitrary<Made> =>
  values.map((value) => new Made(Object.defineProperty(() => value, "name", { value: inspect(value) })));
const oneOf = (...makers: (() => unknown)[]): fc.Arbitrary<Made> => fc.constantFrom(...makers.map((make) => new Made(make)));

const fail = (): never => {
  throw new Thrown();
};
const failingTraps = Object.fromEntries(
  ["get", "has", "ownKeys", "getPrototypeOf", "getOwnPropertyDescriptor"].map((trap) => [trap, fail]),
);
const names = ["key", "mode", "signal", "ttlMs", "acquired", "owner", "token", "length", "message", "name"];
const failingGetters = Object.fromEntries(names.map((name) => [name, { get: fail, enumerable: true }]));

/** Throw when they are looked at. */
const throwing = oneOf(
  () => new Proxy({}, failingTraps),
  () => new Proxy([], { get: fail }),
  () => new Proxy(() => {}, { get: fail, apply: fail }),
  () => ({ toString: fail, valueOf: fail, [Symbol.toPrimitive]: fail }),
  () => ({ [Symbol.iterator]: fail }),
  () => ({ [inspect.custom]: fail }),
  () => Object.defineProperty(new Error("hidden"), "message", { get: fail }),
  () => Object.defineProperties({}, failingGetters),
);

/** Look like something they are not. */
const pretending = oneOf(
  () => Object.create(AbortSignal.prototype),
  () => ({ aborted: true, reason: 5 }),
  () => ({ [Symbol.iterator]: () => 5 }),
  () => ({ [Symbol.iterator]: () => ({ next: () => undefined }) }),
  () => ({ [Symbol.iterator]: () => ({ next: 5 }) }),
  () => [Symbol("pause")],
  () => [{ toString: undefined }],
  () => [Object.create(null)],
  () => [Number.NaN],
  () => [10n],
  () => JSON.parse('{"__proto__": {"acquired": true, "mode": "shared"}}'),
  () => Object.create({ ttlMs: -1, token: "7" }),
  () => new Proxy(() => {}, {}),
  () => Object.assign(new Error("plain"), { dlockDriverError: true }),
  () => JSON.parse('{"then": "not a function"}'),
  () => new Map([["ttlMs", 5]]),
  () => new Date(Number.NaN),
  () => new Uint8Array(3),
  () => Symbol("a symbol"),
  () => () => {},
);

const edges = made(
  fc.constantFrom<unknown>(
    ...[
      undefined,
      null,
      true,
      false,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      -0,
      0,
      0.5,
      -1,
      1,
      9,
      10,
      2 ** 31 - 1,
    ],
    ...[2 ** 31, 2 ** 53, 1e300, 5e-324, 0n, -1n, 1n, 2n ** 53n, 2n ** 80n, "", "0", "30s", "shared", "exclusive", "__proto__"],
  ),
);

const strings = fc.oneof(
  fc.string({ unit: "binary", maxLength: 300 }),
  fc.string({ unit: "grapheme", maxLength: 60 }),
  fc.constantFrom("__proto__", "constructor", "toString", "a\0b", "\0", "a\ud800b", "\udc00", "👩‍👩‍👧‍👦", "é".repeat(127), "é".repeat(128)),
  fc.constantFrom(" ", "a ", "a#0", "a*", "a?", "{a}", "%00", "'; --", "\\", "/", ".."),
);

/** Strings of every kind of character, and keys that a careless record would fall over. */
export const anyString: fc.Arbitrary<Made> = made(strings);

const plain = made(
  fc.anything({
    withBigInt: true,
    withDate: true,
    withMap: true,
    withSet: true,
    withNullPrototype: true,
    withSparseArray: true,
    maxDepth: 2,
  }),
);

/** Any value at all, hostile ones included. */
export const anything: fc.Arbitrary<Made> = fc.oneof(
  { weight: 4, arbitrary: edges },
  { weight: 3, arbitrary: pretending },
  { weight: 2, arbitrary: throwing },
  { weight: 2, arbitrary: anyString },
  { weight: 2, arbitrary: plain },
);

/** Some of these properties, one at least, with any values. */
export type Some = readonly (readonly [name: string, value: Made])[];

export function someOf(properties: readonly string[]): fc.Arbitrary<Some> {
  const property = fc.tuple(fc.constantFrom(...properties), anything);
  return fc.uniqueArray(property, { minLength: 1, maxLength: 3, selector: ([name]) => name });
}

export function objectOf(some: Some): Record<string, unknown> {
  return Object.fromEntries(some.map(([name, value]) => [name, value.make()]));
}

/** What came of a call, sync or not. */
export type Outcome = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly error: unknown };

export async function outcomeOf(call: () => unknown): Promise<Outcome> {
  try {
    return { ok: true, value: await call() };
  } catch (error) {
    return { ok: false, error };
  }
}

/** What V8 says when a value is used that was not checked. */
const unchecked =
  /is not (a function|iterable|a constructor)|Cannot (read|convert|mix|set|destructure|use)|Illegal invocation|Class constructor/;

/**
 * Fails unless an error is one that is documented: of the value itself, of the LockError family, or a TypeError or RangeError that names one of
 * `arguments`.
 */
export function expectDocumented(error: unknown, names: readonly string[]): void {
  if (error instanceof Thrown || error instanceof LockError) return;
  const isTyped = error instanceof TypeError || error instanceof RangeError;
  // Node's own words for what only looks like one.
  if (isTyped && names.includes("signal") && error.message.includes("of type AbortSignal")) return;
  if (isTyped && !unchecked.test(error.message) && names.some((name) => error.message.includes(name))) return;
  throw new Error(`not a documented error that names ${names.join(" or ")}: ${inspect(error)}`);
}
