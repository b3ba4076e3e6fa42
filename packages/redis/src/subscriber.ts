/** Hears of releases: one connection for a server, whatever the number of keys, and nothing subscribed when nobody waits. */
import type { Clock } from "@dlock/core";
import type { Redis } from "ioredis";
import { unanswered } from "./errors.js";
import { Readiness } from "./readiness.js";
import { cut } from "./wire.js";

/** How long a subscription may take. A connection that does not confirm one is given up. */
const patienceMs = 5_000;

export class Subscriber {
  readonly #redis: Redis;
  readonly #sharded: boolean;
  readonly #clock: Clock;
  readonly #readiness: Readiness;
  readonly #channels = new Map<string, Set<() => void>>();
  #closed = false;

  /**
   * @param redis a connection that nobody else uses and that has not been opened.
   * @param displaced is called with channels that this connection does not serve any more: when it has ended for good, or
   * when a slot has moved to another server.
   */
  constructor(redis: Redis, sharded: boolean, clock: Clock, displaced: (channels: readonly string[], ended: boolean) => void) {
    this.#redis = redis;
    this.#sharded = sharded;
    this.#clock = clock;
    this.#readiness = new Readiness(redis, true, clock);
    // The fallback timers of the waiters do the work while it is away, and "ready" tells when it is back.
    redis.on("error", () => {});
    redis.on(sharded ? "smessage" : "message", (channel: string) => this.#wake(channel));
    redis.on("ready", () => void this.#resubscribe());
    // What ioredis makes of a slot that left this server. It does not say which, so every channel is asked for again.
    redis.on("moved", () => displaced([...this.#channels.keys()], false));
    redis.on("end", () => {
      if (!this.#closed) displaced([...this.#channels.keys()], true);
    });
  }

  /** Resolves when the server has confirmed it. */
  async add(channel: string, wake: () => void): Promise<void> {
    const waiting = this.#channels.get(channel);
    if (waiting === undefined) this.#channels.set(channel, new Set([wake]));
    else waiting.add(wake);
    if (!this.#readiness.now) await this.#readiness.wait(patienceMs);
    // Asked for again even if somebody waits for it already: the answer is the proof that it stands.
    await this.#within(this.#call("subscribe", [channel]));
  }

  remove(channel: string, wake: () => void): void {
    const waiting = this.#channels.get(channel);
    if (!waiting?.delete(wake) || waiting.size > 0) return;
    this.#channels.delete(channel);
    // When it fails the connection is gone, and the subscription with it.
    if (this.#redis.status === "ready") this.#call("unsubscribe", [channel]).catch(() => {});
  }

  close(): void {
    this.#closed = true;
    this.#readiness.close();
    this.#channels.clear();
    this.#redis.disconnect();
    cut(this.#redis);
  }

  #wake(channel: string): void {
    for (const wake of [...(this.#channels.get(channel) ?? [])]) wake();
  }

  /** After a reconnect: whatever was published meanwhile is gone for ever, so everyone looks for himself. */
  async #resubscribe(): Promise<void> {
    const channels = [...this.#channels.keys()];
    if (channels.length === 0) return;
    try {
      await this.#within(
        this.#sharded ? Promise.all(channels.map((channel) => this.#call("subscribe", [channel]))) : this.#call("subscribe", channels),
      );
      for (const channel of channels) this.#wake(channel);
    } catch {
      // Not confirmed: another connection, and with it another try. The waiters' own timers go on meanwhile.
      cut(this.#redis);
    }
  }

  #call(verb: "subscribe" | "unsubscribe", channels: string[]): Promise<unknown> {
    if (verb === "subscribe") return this.#sharded ? this.#redis.ssubscribe(...channels) : this.#redis.subscribe(...channels);
    return this.#sharded ? this.#redis.sunsubscribe(...channels) : this.#redis.unsubscribe(...channels);
  }

  #within<T>(asked: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = this.#clock.setTimer(
        () => {
          reject(unanswered());
          cut(this.#redis);
        },
        patienceMs,
        false,
      );
      asked.then(
        (answer) => {
          timer.cancel();
          resolve(answer);
        },
        (error: unknown) => {
          timer.cancel();
          reject(error instanceof Error ? error : new Error(String(error)));
        },
      );
    });
  }
}
