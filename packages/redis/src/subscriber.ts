/** Hears of releases: one connection for a server, whatever the number of keys, and nothing subscribed for long when nobody waits. */
import type { Clock, Timer } from "@dlock/core";
import type { Redis } from "ioredis";
import { isFinal, unanswered } from "./errors.js";
import { Readiness } from "./readiness.js";
import { cut } from "./wire.js";

/** How long a subscription may take. A connection that does not confirm one is given up. */
const patienceMs = 5_000;

/** A key that was just waited for is often waited for again; and whoever stops has got the lock, and must not wait for a request to be written. */
const lingerMs = 100;

/** A connection that has been silent for so long is asked whether it still lives by the next who waits. */
const doubtMs = 1_000;

interface Channel {
  readonly waiting: Set<() => void>;
  /** Whether the server has confirmed the subscription, on the connection there is now. */
  standing: boolean;
}

export class Subscriber {
  readonly #redis: Redis;
  readonly #sharded: boolean;
  readonly #clock: Clock;
  readonly #readiness: Readiness;
  readonly #channels = new Map<string, Channel>();
  #heardAt = 0;
  #tidying: Timer | undefined;
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
    redis.on(sharded ? "smessage" : "message", (channel: string) => this.#heard(channel));
    redis.on("ready", () => void this.#resubscribe());
    redis.on("close", () => this.#doubtAll());
    // What ioredis makes of a slot that left this server. It does not say which, so every channel is asked for again.
    redis.on("moved", () => {
      this.#doubtAll();
      displaced([...this.#channels.keys()], false);
    });
    redis.on("end", () => {
      if (!this.#closed) displaced([...this.#channels.keys()], true);
    });
  }

  /** Resolves when the subscription stands. */
  async add(name: string, wake: () => void): Promise<void> {
    let channel = this.#channels.get(name);
    if (channel === undefined) {
      channel = { waiting: new Set(), standing: false };
      this.#channels.set(name, channel);
    }
    channel.waiting.add(wake);
    if (channel.standing) {
      // Without an answer the connection is cut, and everyone is woken when the next one stands.
      if (this.#clock.now() - this.#heardAt > doubtMs) this.#subscribe([name]).catch(() => {});
      return;
    }
    if (!this.#readiness.now) await this.#readiness.wait(patienceMs);
    await this.#subscribe([name]);
  }

  remove(name: string, wake: () => void): void {
    if (!this.#channels.get(name)?.waiting.delete(wake) || this.#tidying !== undefined) return;
    this.#tidying = this.#clock.setTimer(() => this.#tidy(), lingerMs, false);
  }

  close(): void {
    this.#closed = true;
    this.#tidying?.cancel();
    this.#readiness.close();
    this.#channels.clear();
    this.#redis.disconnect();
    cut(this.#redis);
  }

  #heard(name: string): void {
    this.#heardAt = this.#clock.now();
    for (const wake of [...(this.#channels.get(name)?.waiting ?? [])]) wake();
  }

  #doubtAll(): void {
    for (const channel of this.#channels.values()) channel.standing = false;
  }

  #tidy(): void {
    this.#tidying = undefined;
    const idle = [...this.#channels].filter(([, { waiting }]) => waiting.size === 0).map(([name]) => name);
    for (const name of idle) this.#channels.delete(name);
    if (idle.length === 0 || this.#redis.status !== "ready") return;
    // Should it fail, the connection is gone, and the subscriptions with it.
    if (!this.#sharded) this.#redis.unsubscribe(...idle).catch(() => {});
    else for (const name of idle) this.#redis.sunsubscribe(name).catch(() => {});
  }

  /** After a reconnect: whatever was published meanwhile is gone for ever, so everyone looks for himself. */
  async #resubscribe(): Promise<void> {
    const names = [...this.#channels].filter(([, { waiting }]) => waiting.size > 0).map(([name]) => name);
    if (names.length === 0) return;
    try {
      await this.#subscribe(names);
      for (const name of names) this.#heard(name);
    } catch (error) {
      // Not confirmed: another connection, and with it another try, unless that would be answered alike. The waiters' own timers go on meanwhile.
      if (!isFinal(error)) cut(this.#redis);
    }
  }

  async #subscribe(names: readonly string[]): Promise<void> {
    // A sharded channel is asked for alone: each of them may have moved.
    await this.#within(this.#sharded ? Promise.all(names.map((name) => this.#redis.ssubscribe(name))) : this.#redis.subscribe(...names));
    this.#heardAt = this.#clock.now();
    for (const name of names) {
      const channel = this.#channels.get(name);
      if (channel !== undefined) channel.standing = true;
    }
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
