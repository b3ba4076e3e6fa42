/**
 * Calls to the members of the cluster: one member as long as it answers, another when it does not, every deadline kept. Works on the gRPC
 * clients inside etcd3, below its retries and its circuit breaker, which keep no deadline (docs/decisions/0003-etcd-calls.md).
 */

import { setTimeLimit, systemClock } from "@dlock/core";
import type { Attempt } from "./attempt.js";
import { decodeTxnResponse, encodeTxn } from "./codec.js";
import { Failure, failureOf, unanswered } from "./failures.js";

type Callback = (error: Error | null, reply: unknown) => void;

/** A running watch call. */
export interface WatchCall {
  write(request: object): unknown;
  cancel(): void;
  on(event: "data" | "error" | "end", listener: (value: never) => void): unknown;
}

interface InterceptedCall {
  start(metadata: { set(name: string, value: string): void }, listener: unknown): void;
}

interface CallOptions {
  readonly interceptors: readonly [(options: unknown, next: (options: unknown) => InterceptedCall) => InterceptedCall];
}

/** How one method is called; gRPC's clients carry the description of each as properties of the function of its name. */
interface Method {
  readonly path: string;
  readonly requestSerialize: (request: never) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => unknown;
}

interface RunningCall {
  cancel(): void;
}

interface ServiceClient {
  getChannel(): { getTarget(): string };
  watch(options: CallOptions): WatchCall;
  makeUnaryRequest(
    path: string,
    serialize: Method["requestSerialize"],
    deserialize: Method["responseDeserialize"],
    request: object,
    options: CallOptions,
    done: Callback,
  ): RunningCall;
  readonly [method: string]: unknown;
}

/** What is too slow in the general way. */
const codecs: Readonly<Record<string, Omit<Method, "path">>> = {
  txn: { requestSerialize: encodeTxn, responseDeserialize: decodeTxnResponse },
};

export type Service = "KV" | "Lease" | "Watch" | "Auth";

/** etcd3's Host: the gRPC clients of one member. */
export interface Host {
  getServiceClient(service: Service): ServiceClient;
}

export interface Credentials {
  readonly username: string;
  readonly password: string;
}

const firstPauseMs = 20;
const longestPauseMs = 250;

export class Members {
  readonly #hosts: readonly Host[];
  readonly #credentials: Credentials | undefined;
  #token: string | undefined;
  /** The member that calls go to. Processes start with different ones, so that the load is shared. */
  #preferred: number;
  readonly #running = new Set<RunningCall>();
  #closed = false;

  constructor(hosts: readonly Host[], credentials: Credentials | undefined) {
    this.#hosts = hosts;
    this.#credentials = credentials;
    this.#preferred = Math.floor(Math.random() * hosts.length);
  }

  /**
   * Calls until a member answers. A member that is down, or silent for its share of the time, is left for the next one; a cluster without a
   * leader is asked again until there is one.
   *
   * @param payload asked for anew for each try.
   * @param lost called when a try ended without an answer: it may have been applied, or still be.
   * @throws Failure when no member answered, or one refused.
   */
  async call<T>(
    service: Service,
    method: string,
    payload: () => object | Promise<object>,
    attempt: Attempt,
    lost?: () => void,
  ): Promise<T> {
    let signIns = 0;
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
      if (this.#closed) throw new Failure("the driver is closed", "no", "final");
      let failure: Failure | undefined;
      let waiting = false;
      for (let untried = this.#hosts.length; untried > 0; untried -= 1) {
        const body = await payload();
        const member = this.#preferred;
        const host = this.#hosts[member] as Host;
        const shareMs = attempt.leftMs / untried;
        if (shareMs < 1) break;
        try {
          return await this.#ask<T>(host, service, method, body, shareMs);
        } catch (error) {
          failure = failureOf(error, nameOf(host));
          if (failure.applied === "unknown") lost?.();
          if (failure.reaction === "token" && signIns < 2) {
            this.#token = undefined;
            signIns += 1;
            untried += 1;
            continue;
          }
          if (failure.reaction !== "elsewhere" && failure.reaction !== "wait") throw failure;
          if (failure.reaction === "wait") waiting = true;
          this.leave(member);
        }
      }
      failure ??= new Failure("the time for this call was over before etcd could be asked", "no", "elsewhere");
      if (!waiting || attempt.leftMs < pauseMs) throw failure;
      await attempt.pause(pauseMs);
    }
  }

  /** Opens a watch call on the preferred member; `member` is what `leave` takes when the call fails. */
  async openWatch(attempt: Attempt): Promise<{ stream: WatchCall; member: number }> {
    const member = this.#preferred;
    const host = this.#hosts[member] as Host;
    try {
      const token = await this.#signIn(host, attempt.leftMs);
      return { stream: host.getServiceClient("Watch").watch({ interceptors: [headers(token)] }), member };
    } catch (error) {
      this.leave(member);
      throw failureOf(error, nameOf(host));
    }
  }

  /** Prefers another member from now on, unless somebody has moved on already. */
  leave(member: number): void {
    if (this.#preferred === member) this.#preferred = (member + 1) % this.#hosts.length;
  }

  /** Ends what is under way: a connection with a call on it stays open, and the process with it, until the call's deadline. */
  close(): void {
    this.#closed = true;
    for (const call of this.#running) call.cancel();
  }

  /** The next call signs in again. */
  forgetSignIn(): void {
    this.#token = undefined;
  }

  async #ask<T>(host: Host, service: Service, method: string, payload: object, ms: number): Promise<T> {
    const until = systemClock.now() + ms;
    const token = await this.#signIn(host, ms);
    return this.#unary<T>(host, service, method, payload, until - systemClock.now(), token);
  }

  /** Not shared between calls that need it at once: each keeps its own deadline. */
  async #signIn(host: Host, ms: number): Promise<string | undefined> {
    if (this.#credentials === undefined || this.#token !== undefined) return this.#token;
    const { username, password } = this.#credentials;
    try {
      const { token } = await this.#unary<{ token: string }>(host, "Auth", "authenticate", { name: username, password }, ms, undefined);
      this.#token = token;
      return token;
    } catch (error) {
      // Whatever became of the sign-in, the call it was for was not sent.
      const failure = failureOf(error, nameOf(host));
      throw new Failure(failure.message, "no", failure.reaction, failure.cause);
    }
  }

  #unary<T>(host: Host, service: Service, method: string, payload: object, ms: number, token: string | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      const client = host.getServiceClient(service);
      const options: CallOptions = { interceptors: [headers(token)] };
      const described = client[method] as Method;
      const { requestSerialize, responseDeserialize } = codecs[method] ?? described;
      const call = client.makeUnaryRequest(described.path, requestSerialize, responseDeserialize, payload, options, (error, reply) => {
        limit.cancel();
        this.#running.delete(call);
        if (error === null) resolve(reply as T);
        else reject(error);
      });
      this.#running.add(call);
      // Not gRPC's own deadline: after the event loop was blocked, that one ends a call whose answer is there, but not read yet.
      const late = () => {
        reject(unanswered(nameOf(host)));
        call.cancel();
      };
      const limit = setTimeLimit(systemClock, late, ms);
    });
  }
}

/**
 * Sets the headers of a call without importing gRPC: a client the user gives may carry another copy of it. `hasleader` makes a member that
 * is cut off from the cluster say so, instead of being silent.
 */
function headers(token: string | undefined): CallOptions["interceptors"][0] {
  return (options, next) => {
    const call = next(options);
    const start = call.start.bind(call);
    call.start = (metadata, listener) => {
      metadata.set("hasleader", "true");
      if (token !== undefined) metadata.set("token", token);
      start(metadata, listener);
    };
    return call;
  };
}

function nameOf(host: Host): string {
  try {
    return host.getServiceClient("KV").getChannel().getTarget().replace(/^dns:/, "");
  } catch {
    // A closed client has no channels to ask; the error at hand says that it is closed.
    return "a closed client";
  }
}
