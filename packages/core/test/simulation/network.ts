/** A driver whose every call crosses a bad network: slow, lost before or after it was carried out, or carried out long after it was given up. */
import type {
  AcquireClaim,
  AcquireResult,
  Call,
  DriverCapabilities,
  ExtendClaim,
  Holder,
  LockDriver,
  ReleaseClaim,
} from "../../src/index.ts";
import { driverError } from "../../src/index.ts";
import type { Random } from "./random.ts";
import type { Client, World } from "./world.ts";

/** The server: decides each claim at once, on true time. */
export interface Table {
  readonly queue: boolean;
  acquire(claim: AcquireClaim): AcquireResult;
  extend(claim: ExtendClaim): boolean;
  release(claim: ReleaseClaim): boolean;
  holders(key: string): readonly Holder[];
  watch(key: string, wake: () => void): () => void;
}

/** What really happened, so that a run can show that it contained what it claims to test. */
export interface NetworkCounts {
  calls: number;
  lostRequests: number;
  lostReplies: number;
  lateDeliveries: number;
  lateGrants: number;
  lostWakes: number;
  slowReplies: number;
}

/** A request that was given up is carried out at most so long after it was sent: connections do not last for ever. */
export const latestDeliveryMs = 50_000;

const capabilities: Omit<DriverCapabilities, "queue"> = { scope: "network", minTtlMs: 1, ttlStepMs: 1, maxBatch: 8, watch: true };

export class Network {
  /** Probability of a fault in a call; 0 once the world calms down. */
  faultiness: number;
  readonly counts: NetworkCounts = {
    calls: 0,
    lostRequests: 0,
    lostReplies: 0,
    lateDeliveries: 0,
    lateGrants: 0,
    lostWakes: 0,
    slowReplies: 0,
  };
  readonly #world: World;
  readonly #table: Table;
  readonly #random: Random;
  readonly #look: (key: string) => void;
  readonly #onRelease: (claim: ReleaseClaim) => void;

  /**
   * @param look is called when a lease may have ended on the server, by a decision or by itself.
   * @param onRelease is called with each release that arrives.
   */
  constructor(
    world: World,
    table: Table,
    random: Random,
    faultiness: number,
    look: (key: string) => void,
    onRelease: (claim: ReleaseClaim) => void,
  ) {
    this.#world = world;
    this.#table = table;
    this.#random = random;
    this.faultiness = faultiness;
    this.#look = look;
    this.#onRelease = onRelease;
  }

  driver(client: Client): LockDriver {
    const table = this.#table;
    return {
      name: "simulated",
      capabilities: { ...capabilities, queue: table.queue },
      acquire: (claims: readonly AcquireClaim[], call: Call) =>
        this.#call(client, call, (late) =>
          claims.map((claim) => {
            const result = table.acquire(claim);
            if (late && result.acquired) this.counts.lateGrants++;
            this.#decided(claim);
            return result;
          }),
        ),
      extend: (claims: readonly ExtendClaim[], call: Call) =>
        this.#call(client, call, () =>
          claims.map((claim) => {
            const result = table.extend(claim);
            this.#decided(claim);
            return result;
          }),
        ),
      release: (claims: readonly ReleaseClaim[], call: Call) =>
        this.#call(client, call, () =>
          claims.map((claim) => {
            this.#onRelease(claim);
            const result = table.release(claim);
            this.#look(claim.key);
            return result;
          }),
        ),
      inspect: (key: string, call: Call) => this.#call(client, call, () => table.holders(key)),
      async *list() {},
      watch: (claim, wake) => this.#watch(client, claim.key, wake),
      sweep: async () => 0,
      ping: async () => {},
      close: async () => {},
    };
  }

  /** Just after the lease ends, unless it is renewed, is the worst moment to believe in it. */
  #decided({ key, ttlMs }: { readonly key: string; readonly ttlMs: number }): void {
    this.#look(key);
    this.#world.after(ttlMs + 0.001, () => this.#look(key));
  }

  #call<T>(client: Client, { timeoutMs }: Call, execute: (late: boolean) => T): Promise<T> {
    const random = this.#random;
    this.counts.calls++;
    return new Promise((resolve, reject) => {
      const fault = random.chance(this.faultiness) ? random.pick(["request", "reply", "late", "slow", "slow reply"] as const) : "none";
      // One driver in five keeps its promise to stop in time so badly that core must see to it.
      if (!random.chance(0.2))
        client.setTimer(() => reject(driverError("no answer in time", { applied: "unknown", retryable: true })), timeoutMs);
      const there = fault === "slow" ? random.between(20, timeoutMs * 1.5) : random.between(0.1, 4);
      const back = fault === "slow reply" ? random.between(20, timeoutMs * 1.2) : random.between(0.1, 4);
      if (fault === "slow reply") this.counts.slowReplies++;
      if (fault === "request") {
        this.counts.lostRequests++;
      } else if (fault === "late") {
        this.counts.lateDeliveries++;
        this.#world.after(random.between(timeoutMs, latestDeliveryMs), () => execute(true));
      } else {
        this.#world.after(there, () => {
          const answer = execute(false);
          if (fault === "reply") this.counts.lostReplies++;
          else this.#world.after(back, () => resolve(answer), client);
        });
      }
    });
  }

  /** Notifications are late, early, double, or lost. */
  async #watch(client: Client, key: string, wake: () => void): Promise<() => void> {
    await client.sleep(this.#random.between(0.1, 5));
    let stopped = false;
    const stop = this.#table.watch(key, () => {
      if (this.#random.chance(this.faultiness)) this.counts.lostWakes++;
      else this.#world.after(this.#random.between(0.1, 10), () => stopped || wake(), client);
    });
    return () => {
      stopped = true;
      stop();
    };
  }
}
