/** Fencing tokens: what the server mints, and what people see. */

/**
 * Whether this can be the token of a driver's answer (R6): a bigint between 1 and 2^53 − 1, so that the hand-offs of a lease fit beside it below
 * 2^63. Core takes any other for an answer that cannot be read.
 */
export function isServerToken(value: unknown): value is bigint {
  return typeof value === "bigint" && value > 0n && value < endOfTokens;
}

const endOfTokens = 2n ** 53n;

/** A lease is handed on at most so often: what ten bits can count. */
export const mostHandOffs = 1_023;

/** The token people see: the server's, with ten bits for the hand-offs of its lease, so that it grows at each of them too. */
export function publicToken(serverToken: bigint, handOffs: number): bigint {
  return (serverToken << 10n) | BigInt(handOffs);
}
