/** What the server or ioredis said, as the contract's third answer: with the remedy, and whether it may have been applied. */
import { type DriverError, driverError } from "@dlock/core";

interface Meaning {
  readonly pattern: RegExp;
  readonly remedy: string;
  /** Whether it may pass by itself. */
  readonly retryable: boolean;
}

/** Everything here is an answer of the server given before it wrote anything. The first that matches counts. */
const meanings: readonly Meaning[] = [
  {
    pattern: /FOREIGN|WRONGTYPE/,
    remedy: "something that is not a dlock record lies under its name: choose another prefix",
    retryable: false,
  },
  { pattern: /EXHAUSTED/, remedy: "the server's clock is beyond the year 2255: set it", retryable: false },
  {
    pattern: /READONLY/,
    remedy: "this server is a replica, and locks need the master: connect to the master or through Sentinel",
    retryable: true,
  },
  { pattern: /\bOOM\b/, remedy: "the server is at its maxmemory: raise it or free memory", retryable: true },
  { pattern: /LOADING/, remedy: "the server is loading its data: wait until it is done", retryable: true },
  { pattern: /MISCONF/, remedy: "the server cannot save its data and refuses writes: see its log", retryable: false },
  { pattern: /NOREPLICAS/, remedy: "fewer replicas are connected than min-replicas-to-write demands", retryable: true },
  { pattern: /MASTERDOWN|CLUSTERDOWN|TRYAGAIN|MOVED|ASK /, remedy: "the Cluster is changing, or a part of it is down", retryable: true },
  { pattern: /max number of clients/, remedy: "the server's maxclients is reached: raise it or close connections", retryable: true },
  { pattern: /WRONGPASS|invalid password/, remedy: "check user name and password", retryable: false },
  { pattern: /NOAUTH/, remedy: "the server wants a password: give one", retryable: false },
  {
    // The last of a command inside of a script, up to Redis 7.
    pattern: /NOPERM|no permissions|user executing the script can't/i,
    remedy: "the user lacks a permission: the README of @dlock/redis lists those needed",
    retryable: false,
  },
  {
    pattern: /unknown command .ssubscribe/i,
    remedy: "a Cluster before Redis 7 has no sharded pub/sub: waiters are woken by time only",
    retryable: false,
  },
  { pattern: /BUSY /, remedy: "a script of somebody else blocks the server", retryable: true },
  { pattern: /protected mode|DENIED/, remedy: "the server is in protected mode", retryable: false },
];

/** An error answer of the server: it did not apply the claim. */
export function refusedBy(message: string, cause?: unknown): DriverError {
  const meaning = meanings.find(({ pattern }) => pattern.test(message));
  const remedy = meaning === undefined ? "" : `; ${meaning.remedy}`;
  // The server's own words, without the position in our script that Redis adds.
  const words = message.replace(/ script: [0-9a-f]{40}.*$/s, "").replace(/\buser_script:\d+: /g, "");
  return driverError(`Redis answered "${words}"${remedy}`, {
    applied: "no",
    retryable: meaning?.retryable ?? false,
    cause: withoutCommand(cause),
  });
}

/** What none of our scripts answers: whether they have run is anyone's guess. */
export function malformed(reply: unknown): DriverError {
  const message = "Redis answered what none of dlock's scripts answers: the client may be in a transaction, or a proxy in between";
  return driverError(message, { applied: "unknown", retryable: true, cause: reply });
}

/** Whether an error came from the server as an answer, rather than from the connection. Not `instanceof`: there may be two copies of ioredis. */
export function isReply(error: unknown): error is Error {
  return error instanceof Error && error.name === "ReplyError";
}

/** An answer that will be the same the next time, such as that of a missing permission. */
export function isFinal(error: unknown): error is Error {
  return isReply(error) && !refusedBy(error.message).retryable;
}

/** The connection broke while the request was under way. */
export function interrupted(cause: unknown): DriverError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return driverError(`the connection to Redis broke before the answer: ${why}`, {
    applied: "unknown",
    retryable: true,
    cause: withoutCommand(cause),
  });
}

/** Nothing came back in time. */
export function unanswered(): DriverError {
  return driverError("Redis did not answer in time; it may be slow, frozen or unreachable", { applied: "unknown", retryable: true });
}

/** There was no connection to send the request on. */
export function unreachable(why: string, cause?: unknown): DriverError {
  const message = cause instanceof Error ? cause.message : undefined;
  const meaning = message === undefined ? undefined : meanings.find(({ pattern }) => pattern.test(message));
  return driverError(
    `no connection to Redis (${why}${message === undefined ? "" : `: ${message}`}); ${meaning?.remedy ?? "check that it runs and can be reached"}`,
    { applied: "no", retryable: meaning?.retryable ?? true, cause: withoutCommand(cause) },
  );
}

/** ioredis puts the command with its arguments into its errors, and that of a sign-in holds the password. */
function withoutCommand(cause: unknown): unknown {
  if (!(cause instanceof Error) || !("command" in cause)) return cause;
  const { message, name, stack } = cause;
  return Object.assign(new Error(message), { name, stack, ...("code" in cause ? { code: cause.code } : {}) });
}
