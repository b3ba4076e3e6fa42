/** A driver that does what the test tells it to: every call is recorded, and a reply can be delayed, lost, late, false or never come. */
import type {
  AcquireClaim,
  Call,
  Claim,
  DriverCapabilities,
  ExtendClaim,
  Holder,
  LockDriver,
  LockRecord,
  ReleaseClaim,
} from "../../src/index.ts";
import { LockTable } from "./lock-table.ts";
import type { VirtualClock } from "./virtual-clock.ts";

export type Operation = "acquire" | "extend" | "release" | "inspect" | "sweep" | "ping";

/** How one call is answered. `serve` lets the server decide, now, and gives its answer. */
export type Reply = (serve: () => unknown, clock: VirtualClock) => unknown;

export interface RecordedCall {
  readonly operation: Operation;
  /** For `inspect` one claim with the key; empty for `sweep` and `ping`. */
  readonly claims: readonly (Claim & Partial<AcquireClaim> & Partial<Omit<ExtendClaim, keyof AcquireClaim>>)[];
  readonly timeoutMs: number;
  readonly at: number;
}

const forEver = () => new Promise<never>(() => {});
const later = (clock: VirtualClock, ms: number) => new Promise<void>((resolve) => clock.setTimer(resolve, ms, true));

/** Decided and answered at once. */
export const honest: Reply = (serve) => serve();
/** Never arrives at the server, and nothing says so. */
export const silent: Reply = forEver;
/** Decided by the server; the answer never comes. */
export const lost: Reply = (serve) => {
  serve();
  return forEver();
};
/** Decided `ms` later; the answer never comes. */
export const late =
  (ms: number): Reply =>
  (serve, clock) => {
    clock.setTimer(serve, ms, true);
    return forEver();
  };
/** `thereMs` on the way to the server, `backMs` on the way back. */
export const slow =
  (thereMs: number, backMs = 0): Reply =>
  async (serve, clock) => {
    if (thereMs > 0) await later(clock, thereMs);
    const answer = serve();
    if (backMs > 0) await later(clock, backMs);
    return answer;
  };
/** Not decided by the server; the driver throws. */
export const failing =
  (error: unknown): Reply =>
  () =>
    Promise.reject(error);
/** Decided by the server, and the driver throws all the same. */
export const failingAfter =
  (error: unknown): Reply =>
  (serve) => {
    serve();
    return Promise.reject(error);
  };
/** Anything at all as the answer. */
export const answering =
  (answer: unknown): Reply =>
  () =>
    answer;
/** The same verdict for each claim, whatever the server would say. */
export const answeringEach =
  (answer: unknown): Reply =>
  (serve) =>
    (serve() as unknown[]).map(() => answer);

export interface ScriptedOptions {
  readonly table?: LockTable;
  readonly capabilities?: Partial<DriverCapabilities>;
  readonly laneOf?: (key: string) => string;
  /** Whether the driver watches. Default: false. */
  readonly watch?: boolean;
}

export class ScriptedDriver implements LockDriver {
  readonly name = "scripted";
  readonly capabilities: DriverCapabilities;
  readonly table: LockTable;
  readonly calls: RecordedCall[] = [];
  readonly laneOf?: (key: string) => string;
  readonly watch?: (claim: Claim, wake: () => void) => Promise<() => void>;
  /** What the next watches do instead of standing at once. */
  readonly watchReplies: ((stand: () => () => void) => Promise<() => void>)[] = [];
  closed = 0;
  onClose: () => Promise<void> = () => Promise.resolve();
  readonly #clock: VirtualClock;
  readonly #next = new Map<Operation, Reply[]>();
  readonly #always = new Map<Operation, Reply>();

  constructor(clock: VirtualClock, options: ScriptedOptions = {}) {
    this.#clock = clock;
    this.table = options.table ?? new LockTable(clock);
    const watches = options.watch ?? false;
    this.capabilities = {
      scope: "network",
      minTtlMs: 1,
      ttlStepMs: 1,
      maxBatch: 1_024,
      watch: watches,
      queue: false,
      ...options.capabilities,
    };
    if (options.laneOf !== undefined) this.laneOf = options.laneOf;
    if (watches) {
      this.watch = (claim, wake) => {
        const stand = () => this.table.watch(claim.key, wake);
        const reply = this.watchReplies.shift();
        return reply === undefined ? Promise.resolve(stand()) : reply(stand);
      };
    }
  }

  /** How the next calls of an operation are answered, one after another. */
  next(operation: Operation, ...replies: Reply[]): this {
    this.#next.set(operation, [...(this.#next.get(operation) ?? []), ...replies]);
    return this;
  }

  /** How all calls of an operation without a `next` are answered from now on. */
  always(operation: Operation, reply: Reply): this {
    this.#always.set(operation, reply);
    return this;
  }

  /** The calls of one operation. */
  of(operation: Operation): RecordedCall[] {
    return this.calls.filter((call) => call.operation === operation);
  }

  /** The claims of one operation, over all its calls. */
  claimsOf(operation: Operation): RecordedCall["claims"][number][] {
    return this.of(operation).flatMap((call) => call.claims);
  }

  acquire(claims: readonly AcquireClaim[], call: Call) {
    return this.#answer("acquire", claims, call, () => claims.map((claim) => this.table.acquire(claim))) as ReturnType<
      LockDriver["acquire"]
    >;
  }

  extend(claims: readonly ExtendClaim[], call: Call) {
    return this.#answer("extend", claims, call, () => claims.map((claim) => this.table.extend(claim))) as ReturnType<LockDriver["extend"]>;
  }

  release(claims: readonly ReleaseClaim[], call: Call) {
    return this.#answer("release", claims, call, () => claims.map((claim) => this.table.release(claim))) as ReturnType<
      LockDriver["release"]
    >;
  }

  inspect(key: string, call: Call) {
    return this.#answer("inspect", [{ key, owner: "" }], call, () => this.table.holders(key)) as Promise<readonly Holder[]>;
  }

  async *list({ prefix = "" }: { prefix?: string }): AsyncGenerator<LockRecord> {
    for (const key of this.table.keys()) {
      if (key.startsWith(prefix)) for (const holder of this.table.holders(key)) yield { key, ...holder };
    }
  }

  sweep(call: Call) {
    return this.#answer("sweep", [], call, () => this.table.sweep()) as Promise<number>;
  }

  ping(call: Call) {
    return this.#answer("ping", [], call, () => undefined) as Promise<void>;
  }

  close(): Promise<void> {
    this.closed++;
    return this.onClose();
  }

  async #answer(operation: Operation, claims: RecordedCall["claims"], call: Call, serve: () => unknown): Promise<unknown> {
    this.calls.push({ operation, claims: [...claims], timeoutMs: call.timeoutMs, at: this.#clock.now() });
    const reply = this.#next.get(operation)?.shift() ?? this.#always.get(operation) ?? honest;
    return await reply(serve, this.#clock);
  }
}
