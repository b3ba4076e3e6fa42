/** What a conformance case is, and what a backend has to hand over to be judged by them. */
import type { Clock } from "../clock.js";
import type { DriverCapabilities, LockDriver } from "../driver.js";
import type { Context } from "./context.js";

/** The rules of the contract (driver.ts), and by name the parts of it that have no number. */
export type Rule =
  | "R1"
  | "R2"
  | "R3"
  | "R4"
  | "R5"
  | "R6"
  | "R7"
  | "R8"
  | "R9"
  | "R10"
  | "R11"
  | "R12"
  | "R13"
  | "inspect"
  | "list"
  | "refusal"
  | "watch"
  | "close";

export interface ConformanceCase {
  /** A sentence in the present. */
  readonly name: string;
  readonly rule: Rule;
  /** What the backend must declare for the case to apply; absent when every backend must pass. */
  readonly needs?: (capabilities: DriverCapabilities, setup: ConformanceSetup) => boolean;
  /** Whether other cases that run at the same time would falsify it. */
  readonly alone?: boolean;
  /** Rejects when the driver breaks the rule. */
  run(context: Context): Promise<void>;
}

export interface ConformanceSetup {
  /** A new client of the store under test; the suite closes it. */
  create(): LockDriver | Promise<LockDriver>;
  /** A client of the same store that shares as little as possible with those of `create` (such as a connection); the suite closes it. Default: `create`. */
  createSecond?(): LockDriver | Promise<LockDriver>;
  /** How many records the store keeps for its locks, counters included: R7 is judged by it. That case does not apply when it is absent. */
  countRecords?(): number | Promise<number>;
  /** The TTL of leases that cases wait to end, in milliseconds. Default: 300, or the shortest the backend keeps. */
  ttlMs?: number;
  /** The time a call may take, in milliseconds. Default: 5,000. */
  timeoutMs?: number;
  /** What cases wait by. Default: `systemClock`. */
  clock?: Clock;
}

/** The part of a test runner that the suite uses; that of Vitest and that of `node:test` fit. */
export interface ConformanceRunner {
  describe(name: string, body: () => void): unknown;
  it: ConformanceTest;
  /** Runs tests beside each other, such as Vitest's `it.concurrent`: most of the suite's time is waiting for leases to end. Default: `it`. */
  concurrent?: ConformanceTest;
  /** `afterAll` or `after`: here the suite closes its clients. */
  afterAll(body: () => Promise<void>): unknown;
}

export type ConformanceTest = (name: string, body: (test: { skip(reason?: string): unknown }) => Promise<void>) => unknown;
