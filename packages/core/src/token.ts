/** Fencing tokens: what the server mints, and what people see. */

/** The server's tokens stay below this, so that the hand-offs of a lease fit beside them below 2^63. */
export const highestServerToken = 2n ** 53n;

/** A lease is handed on at most so often: what ten bits can count. */
export const mostHandOffs = 1_023;

/** The token people see: the server's, with ten bits for the hand-offs of its lease, so that it grows at each of them too. */
export function publicToken(serverToken: bigint, handOffs: number): bigint {
  return (serverToken << 10n) | BigInt(handOffs);
}
