/** Assertions that several groups of cases share. */
import assert from "node:assert/strict";
import type { Holder } from "../driver.js";

/** The lease ends later than `ms` from now. */
export function outlasts({ owner, remainingMs }: Holder, ms: number): void {
  assert.ok(remainingMs > ms, `the lease of ${owner} ends in ${remainingMs} ms, not after ${ms} ms`);
}

/** The lease is live and ends sooner than `ms` from now. */
export function endsWithin({ owner, remainingMs }: Holder, ms: number): void {
  assert.ok(remainingMs > 0 && remainingMs < ms, `the lease of ${owner} ends in ${remainingMs} ms, not within ${ms} ms`);
}
