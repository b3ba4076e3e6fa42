/** One way to a Redis server or Cluster: sends commands with exact deadlines, over the user's client or one of our own. */
import type { Socket } from "node:net";
import { type Clock, type DriverError, isDriverError, type Timer } from "@dlock/core";
import type { Cluster, Redis } from "ioredis";
import { AsciiCommand } from "./ascii-command.js";
import { Deadlines } from "./deadlines.js";
import { interrupted, isReply, refusedBy, unanswered, unreachable } from "./errors.js";
import { Readiness } from "./readiness.js";

/** A connection of our own that has not become ready for so long (a frozen server accepts connections) is given up and tried again. */
const handshakePatienceMs = 3_000;

export class Wire {
  readonly client: Redis | Cluster;
  readonly sharded: boolean;
  /** Whether we opened it: then it is ours to cut, and to close. */
  readonly owned: boolean;
  readonly #clock: Clock;
  readonly #undo: (() => void)[] = [];
  readonly #readiness: Readiness;
  readonly #deadlines: Deadlines;

  /** @param onLost is called for each connection that is lost, since the next one may lead to another server. */
  constructor(client: Redis | Cluster, owned: boolean, clock: Clock, onLost: () => void) {
    this.client = client;
    this.sharded = isCluster(client);
    this.owned = owned;
    this.#clock = clock;
    this.#readiness = new Readiness(client, owned, clock);
    this.#deadlines = new Deadlines(clock);
    this.#listen(client, "close", onLost);
    if (!owned) return;
    // Who asks is told by the answer to his call; without a listener ioredis prints every error.
    this.#listen(client, "error", () => {});
    if (isCluster(client)) {
      this.#listen(client, "+node", (node: Redis) => this.#watchHandshake(node));
    } else this.#watchHandshake(client);
  }

  /**
   * Sends one command to the master of a slot and resolves to the answer.
   *
   * @param endsAt the moment of the clock at which it rejects at the latest.
   * @throws DriverError.
   */
  send(slot: number, name: string, args: readonly string[], endsAt: number): Promise<unknown> {
    const { client } = this;
    if (this.#readiness.now && !isCluster(client)) return this.#dispatch(client, client, name, args, endsAt);
    return this.#find(slot, name, args, endsAt);
  }

  async #find(slot: number, name: string, args: readonly string[], endsAt: number): Promise<unknown> {
    const { client } = this;
    if (!this.#readiness.now) await this.#readiness.wait(endsAt - this.#clock.now());
    if (!isCluster(client)) return this.#dispatch(client, client, name, args, endsAt);
    const node = masterOf(client, slot);
    try {
      if (node !== undefined) return await this.#dispatch(node, node, name, args, endsAt);
    } catch (error) {
      // The slot lives elsewhere by now, and nothing was done here: ioredis follows, which is no second attempt.
      if (!/Redis answered "(MOVED|ASK) /.test((error as Error).message)) throw error;
    }
    client.refreshSlotsCache();
    return this.#dispatch(client, undefined, name, args, endsAt);
  }

  /** The servers that hold locks. */
  masters(): Redis[] {
    return isCluster(this.client) ? this.client.nodes("master") : [this.client];
  }

  /** Sends one command to one of the masters. */
  sendTo(node: Redis, name: string, args: readonly string[], endsAt: number): Promise<unknown> {
    return this.#dispatch(node, node, name, args, endsAt);
  }

  /** Resolves when there is a connection, and for a Cluster when its masters are known. */
  ready(timeoutMs: number): Promise<void> {
    return this.#readiness.now ? Promise.resolve() : this.#readiness.wait(timeoutMs);
  }

  close(): void {
    this.#readiness.close();
    for (const undo of this.#undo) undo();
    if (!this.owned) return;
    // Its last words are of no interest, and without a listener ioredis prints them.
    this.client.on("error", () => {});
    this.client.disconnect();
    for (const node of isCluster(this.client) ? this.client.nodes() : [this.client]) cut(node);
  }

  /** Gives up the connection to a slot's master if it is ours, so that the next call gets a fresh one. */
  renew(slot: number): void {
    if (!this.owned) return;
    const node = isCluster(this.client) ? masterOf(this.client, slot) : this.client;
    if (node !== undefined) cut(node);
  }

  #dispatch(to: Redis | Cluster, node: Redis | undefined, name: string, args: readonly string[], endsAt: number): Promise<unknown> {
    const command = new AsciiCommand(name, [], { replyEncoding: "utf8" });
    // Given to the constructor they would be copied and looked at one by one, which costs more than all the rest of a batch.
    command.args = args as string[];
    const stream = node?.stream;
    const heardBefore = stream?.bytesRead;
    const deadline = this.#deadlines.add(endsAt, () => {
      command.reject(unanswered());
      // Other requests may be under way on this connection: only when nothing at all came back meanwhile is it of no use to them either.
      if (node !== undefined && this.owned && node.stream === stream && stream?.bytesRead === heardBefore) cut(node);
      if (isCluster(this.client)) this.client.refreshSlotsCache();
    });
    return (to.sendCommand(command) as Promise<unknown>).then(
      (answer) => {
        this.#deadlines.remove(deadline);
        return answer;
      },
      (error: unknown) => {
        this.#deadlines.remove(deadline);
        throw isDriverError(error) ? error : this.#explain(error);
      },
    );
  }

  #explain(error: unknown): DriverError {
    if (isReply(error)) return refusedBy(error.message, error);
    const message = error instanceof Error ? error.message : "";
    if (isCluster(this.client)) this.client.refreshSlotsCache();
    // The last of so many answers, none of which did anything. A client of the user's may also have sent it again over a connection that broke.
    if (this.owned && message.startsWith("Too many Cluster redirections")) return refusedBy(message, error);
    // ioredis says this when it has not written the command.
    if (message.includes("enableOfflineQueue")) return unreachable("it broke just now");
    return interrupted(error);
  }

  /** Its listeners go with the connection, which is ours. */
  #watchHandshake(node: Redis): void {
    let timer: Timer | undefined;
    node.on("connect", () => {
      const { stream } = node;
      timer = this.#clock.setTimer(
        () => {
          if (node.stream === stream && node.status === "connect") cut(node);
        },
        handshakePatienceMs,
        false,
      );
    });
    for (const event of ["ready", "close", "end"]) node.on(event, () => timer?.cancel());
  }

  #listen(emitter: Redis | Cluster, event: string, run: (value: never) => void): void {
    emitter.on(event, run as (value: unknown) => void);
    this.#undo.push(() => emitter.off(event, run as (value: unknown) => void));
  }
}

export function isCluster(client: Redis | Cluster): client is Cluster {
  return (client as { isCluster?: boolean }).isCluster === true;
}

/** The connection to the master that serves a slot, as far as ioredis knows it. */
export function masterOf(cluster: Cluster, slot: number): Redis | undefined {
  const key = cluster.slots[slot]?.[0];
  return cluster.nodes("master").find(({ options }) => `${options.host}:${options.port}` === key);
}

/** Cuts a connection. What the system has not yet sent of it is dropped where that is possible, so that it does not run when the network heals. */
export function cut(node: Redis): void {
  const stream = node.stream as Socket | undefined;
  if (stream === undefined || stream.destroyed) return;
  // A reset waits for what Node itself still buffers, fails on a stream that is being ended, and is not there for TLS: then a plain close.
  const resettable = !("encrypted" in stream) && stream.writableLength === 0 && !stream.writableEnded;
  if (resettable && typeof stream.resetAndDestroy === "function") stream.resetAndDestroy();
  else stream.destroy();
}
