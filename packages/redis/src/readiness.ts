/** Waits until a client of ioredis can send: opens it where nobody has, and tells at once when a try to connect has failed. */
import type { Clock, DriverError } from "@dlock/core";
import type { Cluster, Redis } from "ioredis";
import { unreachable } from "./errors.js";

export class Readiness {
  readonly #client: Redis | Cluster;
  readonly #clock: Clock;
  readonly #reopen: boolean;
  /** Everyone who waits; called with nothing when it is ready. One set of listeners serves them all. */
  readonly #waiting = new Set<(error?: DriverError) => void>();
  #lastError: unknown;
  #resets = 0;
  #closed = false;
  readonly #listeners: readonly (readonly [string, (value: never) => void])[];

  /** @param reopen whether a connection that was ended may be opened again: not one that the user has closed. */
  constructor(client: Redis | Cluster, reopen: boolean, clock: Clock) {
    this.#client = client;
    this.#clock = clock;
    this.#reopen = reopen;
    this.#listeners = [
      ["ready", () => this.#settle()],
      ["error", (error: Error) => this.#failed(error)],
      ["node error", (error: Error) => this.#failed(error, false)],
      ["end", () => this.#settle(unreachable("it was ended", this.#lastError))],
    ];
  }

  /** Only while somebody waits: the events of a user's client are the user's. */
  #listen(on: boolean): void {
    for (const [event, run] of this.#listeners) this.#client[on ? "on" : "off"](event, run as (value: unknown) => void);
  }

  /** Whether a command would be sent at once. */
  get now(): boolean {
    const client = this.#client;
    // A stream that has just been cut is still called ready.
    return client.status === "ready" && !this.#closed && (!("stream" in client) || client.stream.writable);
  }

  /** @throws DriverError: certainly not applied. */
  async wait(timeoutMs: number): Promise<void> {
    const client = this.#client;
    if (this.#closed) throw unreachable("the driver is closed");
    if (client.status === "end" && !this.#reopen) throw unreachable("the client given to redisDriver is closed");
    await new Promise<void>((resolve, reject) => {
      const settle = (error?: DriverError) => {
        timer.cancel();
        this.#waiting.delete(settle);
        if (this.#waiting.size === 0) this.#listen(false);
        if (error === undefined) resolve();
        else reject(error);
      };
      const timer = this.#clock.setTimer(
        () => settle(unreachable(`not ready within ${Math.round(timeoutMs)} ms, status ${client.status}`, this.#lastError)),
        timeoutMs,
        true,
      );
      if (this.#waiting.size === 0) {
        this.#listen(true);
        this.#lastError = undefined;
        this.#resets = 0;
      }
      this.#waiting.add(settle);
      // Failure comes as an event, too, which is what is waited for.
      if (client.status === "wait" || client.status === "end") client.connect().catch(() => {});
    });
  }

  close(): void {
    this.#closed = true;
    this.#settle(unreachable("the driver is closed"));
  }

  #failed(error: Error, final = true): void {
    this.#lastError = error;
    // A connection that is closed before its first answer says nothing about why; the next one may. Three are enough.
    const vague = /\b(EPIPE|ECONNRESET)\b/.test(String(error)) && ++this.#resets < 3;
    if (final && !vague) this.#settle(unreachable(`status ${this.#client.status}`, error));
  }

  #settle(error?: DriverError): void {
    for (const settle of [...this.#waiting]) settle(error);
  }
}
