/** Who waits for which key, and on which connection that is heard: one for the server, or one for each master of a Cluster. */
import type { Clock, Timer } from "@dlock/core";
import type { Redis, RedisOptions } from "ioredis";
import { isFinal, isReply, refusedBy, unreachable } from "./errors.js";
import { Subscriber } from "./subscriber.js";
import { isCluster, masterOf, type Wire } from "./wire.js";

interface Watching {
  readonly channel: string;
  readonly slot: number;
  readonly wake: () => void;
  at: Subscriber | undefined;
}

/** What lost its place looks for another one so often. */
const relocateMs = 200;

/** How long a Cluster may take to be known. */
const connectMs = 5_000;

/** Subscribers say themselves what they listen to, after each reconnect, and queue nothing. */
const listening = {
  lazyConnect: true,
  autoResubscribe: false,
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  keyPrefix: "",
  commandTimeout: undefined,
  disconnectTimeout: 1,
} satisfies RedisOptions;

export class Watches {
  readonly #wire: Wire;
  readonly #clock: Clock;
  readonly #subscribers = new Map<string, Subscriber>();
  readonly #watching = new Set<Watching>();
  #relocation: Timer | undefined;
  #closed = false;

  constructor(wire: Wire, clock: Clock) {
    this.#wire = wire;
    this.#clock = clock;
  }

  /** Resolves, once the subscription stands, to what ends it. */
  async watch(channel: string, slot: number, wake: () => void): Promise<() => void> {
    if (this.#closed) throw unreachable("the driver is closed");
    const watching: Watching = { channel, slot, wake, at: undefined };
    this.#watching.add(watching);
    try {
      await this.#place(watching);
    } catch (error) {
      if (!this.#wire.sharded || !this.#watching.has(watching) || isFinal(error)) {
        this.#stop(watching);
        throw isReply(error) ? refusedBy(error.message, error) : error;
      }
      // The slot has moved, or its master is away: the search goes on beside the waiter's own timers.
      watching.at?.remove(channel, wake);
      watching.at = undefined;
      this.#relocateSoon();
    }
    return () => this.#stop(watching);
  }

  close(): void {
    this.#closed = true;
    this.#relocation?.cancel();
    this.#watching.clear();
    for (const subscriber of this.#subscribers.values()) subscriber.close();
    this.#subscribers.clear();
  }

  #stop(watching: Watching): void {
    if (!this.#watching.delete(watching)) return;
    watching.at?.remove(watching.channel, watching.wake);
  }

  async #place(watching: Watching): Promise<void> {
    const subscriber = await this.#subscriberOf(watching.slot);
    if (!this.#watching.has(watching)) return;
    watching.at = subscriber;
    await subscriber.add(watching.channel, watching.wake);
  }

  async #subscriberOf(slot: number): Promise<Subscriber> {
    const { client, sharded } = this.#wire;
    if (!isCluster(client)) return this.#subscriber("", () => client.duplicate(listening), sharded);
    // Nothing may have been asked of it so far.
    await this.#wire.ready(connectMs);
    const node = masterOf(client, slot);
    if (node === undefined) throw unreachable(`no master is known for slot ${slot}`);
    return this.#subscriber(`${node.options.host}:${node.options.port}`, () => node.duplicate({ ...listening, readOnly: false }), sharded);
  }

  #subscriber(server: string, open: () => Redis, sharded: boolean): Subscriber {
    const present = this.#subscribers.get(server);
    if (present !== undefined) return present;
    const subscriber = new Subscriber(open(), sharded, this.#clock, (channels, ended) => {
      if (ended && this.#subscribers.get(server) === subscriber) this.#subscribers.delete(server);
      for (const watching of this.#watching) {
        if (watching.at !== subscriber || !channels.includes(watching.channel)) continue;
        subscriber.remove(watching.channel, watching.wake);
        watching.at = undefined;
      }
      this.#relocateSoon();
    });
    this.#subscribers.set(server, subscriber);
    return subscriber;
  }

  #relocateSoon(): void {
    if (this.#closed || this.#relocation !== undefined) return;
    if (isCluster(this.#wire.client)) this.#wire.client.refreshSlotsCache();
    this.#relocation = this.#clock.setTimer(() => void this.#relocate(), relocateMs, false);
  }

  async #relocate(): Promise<void> {
    const displaced = [...this.#watching].filter(({ at }) => at === undefined);
    await Promise.all(
      displaced.map(async (watching) => {
        try {
          await this.#place(watching);
          // What was told meanwhile was not heard.
          if (this.#watching.has(watching)) watching.wake();
        } catch {
          // Still no place: the next round tries again, and the waiter's own timers go on.
          watching.at?.remove(watching.channel, watching.wake);
          watching.at = undefined;
        }
      }),
    );
    this.#relocation = undefined;
    if ([...this.#watching].some(({ at }) => at === undefined)) this.#relocateSoon();
  }
}
