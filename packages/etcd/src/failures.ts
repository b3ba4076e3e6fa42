/** What the errors of gRPC and etcd mean for a claim: was it applied, what mends it, and how the driver reacts. */
import { type DriverError, driverError } from "@dlock/core";

/**
 * `elsewhere`: this member is the problem. `wait`: the cluster will be able again soon. `lease`: a lease is dead. `token`: sign in again.
 * `split`: one claim of the batch is refused, so find out which. `final`: nothing helps.
 */
export type Reaction = "elsewhere" | "wait" | "lease" | "token" | "split" | "final";

export class Failure extends Error {
  readonly applied: "no" | "unknown";
  readonly reaction: Reaction;

  constructor(message: string, applied: "no" | "unknown", reaction: Reaction, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "Failure";
    this.applied = applied;
    this.reaction = reaction;
  }

  /** @param earlier whether an earlier try of the same attempt ended without an answer. */
  toDriverError(earlier: boolean): DriverError {
    return driverError(this.message, {
      applied: earlier ? "unknown" : this.applied,
      retryable: this.reaction !== "final" && this.reaction !== "split",
      cause: this.cause,
    });
  }
}

/** What is no answer to what was asked: of a proxy, or of something that is no etcd. */
export function malformed(what: string): Failure {
  return new Failure(`etcd's answer is not one to the question: ${what}`, "unknown", "final");
}

/** What was sent may have been applied, or be still. */
export function unanswered(member: string, cause?: unknown): Failure {
  return new Failure(`etcd at ${member} did not answer in time`, "unknown", "elsewhere", cause);
}

/** The codes of gRPC that matter here. */
const code = { cancelled: 1, deadlineExceeded: 4, unavailable: 14 };

/** What the server certainly did not apply, by what it says. First match wins. */
const refusals: readonly (readonly [RegExp, Reaction, string])[] = [
  [/requested lease not found/, "lease", "a lease ended before it was used"],
  [/invalid auth token|revision (of auth store|in header) is old/, "token", "the sign-in has expired"],
  [/authentication failed|user name not found/, "final", "check the user name and the password"],
  [/user name is empty/, "final", "this etcd wants a user name and a password: give both"],
  [/authentication is not enabled/, "final", "this etcd has authentication turned off: leave the user name and the password out"],
  [/permission denied/, "split", "grant the user's role read and write access to the whole prefix of the locks"],
  [
    /database space exceeded/,
    "final",
    "the alarm NOSPACE is raised: compact and defragment etcd, then take the alarm back (etcdctl alarm disarm)",
  ],
  [/corrupt cluster/, "final", "the alarm CORRUPT is raised: replace the corrupt member"],
  [/no leader|too many requests/, "wait", "the cluster cannot take writes at the moment"],
];

/** Never sent: the channel had no connection. */
const unsent = /^No connection established|^Name resolution failed|^Failed to connect|Channel closed before call started|already closed/;

/** What mends a connection that cannot be made, by what is said of it. First match wins. */
const unreachable: readonly (readonly [RegExp, string])[] = [
  [/wrong version number|before secure TLS/, "; if it does not speak TLS there, use http://, or a URL without tls=true"],
  [
    /certificate|SSL/,
    "; check the certificates: the roots and the client certificate in the credentials, or NODE_EXTRA_CA_CERTS for a URL",
  ],
  // Whoever is spoken to in another way than he speaks hangs up, at times before his words have been read.
  [
    /ECONNRESET|EPIPE/,
    "; if it does not speak TLS there, use http://, or a URL without tls=true; if it does and this client does not, https:// or tls=true",
  ],
  // What a server that speaks TLS does to a client that does not: it hangs up.
  [/Failed to connect/, "; if it speaks TLS there, use https://, or a URL with tls=true"],
];

/** @param member what the call was sent to, for the message. */
export function failureOf(error: unknown, member: string): Failure {
  if (error instanceof Failure) return error;
  const { code: status, details } = error as { code?: number; details?: string };
  const said = details ?? (error as Error).message;
  for (const [pattern, reaction, remedy] of refusals) {
    if (pattern.test(said)) return new Failure(`etcd answered "${said}"; ${remedy}`, "no", reaction, error);
  }
  if (unsent.test(said)) {
    const why = said.replace(/^No connection established\. Last error: /, "").replace(/\s*Resolution note:\s*$/, "");
    const remedy = unreachable.find(([pattern]) => pattern.test(why))?.[1] ?? "";
    return new Failure(`etcd cannot be reached at ${member}: ${why}${remedy}`, "no", "elsewhere", error);
  }
  if (status === code.deadlineExceeded) return unanswered(member, error);
  if (said === "Cancelled on client") return new Failure("the call to etcd was cancelled", "unknown", "final", error);
  // A connection that broke: a new one may do, so the only member of its cluster is asked again as well. To gRPC a call looks cancelled when
  // Node ends it before it tells that the connection is gone.
  if (status === code.unavailable || status === code.cancelled)
    return new Failure(`etcd at ${member} failed during the call: ${said}`, "unknown", "wait", error);
  // Errors of its own that etcd sends with another code come before anything is proposed to the cluster.
  if (said.startsWith("etcdserver:")) return new Failure(`etcd answered "${said}"`, "no", "split", error);
  return new Failure(`the call to etcd at ${member} failed: ${said}`, "unknown", "final", error);
}
