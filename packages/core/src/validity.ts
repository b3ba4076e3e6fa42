/** How long what was granted counts here, and how long what was lost may still come. */

/** How much shorter a lease counts here than on the server: clocks run at different speeds. */
export function driftMs(ttlMs: number): number {
  return Math.max(ttlMs / 100, 2);
}

/** For so long an attempt whose outcome is unknown may still be applied: its TTL, at least a minute, at most ten. */
export function ghostWindowMs(ttlMs: number): number {
  return Math.min(Math.max(ttlMs, 60_000), 600_000);
}
