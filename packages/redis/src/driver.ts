/** The Redis driver: one script call for a batch (one for each hash-slot group of it on a Cluster). */
import {
  type AcquireClaim,
  type AcquireResult,
  type Call,
  type Claim,
  type Clock,
  type ExtendClaim,
  type Holder,
  isDriverError,
  type LockDriver,
  type LockRecord,
  type Outcome,
  type ReleaseClaim,
  systemClock,
} from "@dlock/core";
import { Caller } from "./caller.js";
import { checkOptions, openCluster, openRedis, parseUrl, type RedisDriverOptions } from "./options.js";
import { groupCount, groupOf, Names, ownerText, slotOfGroup, tokenText } from "./protocol.js";
import { acquisitions, failure, holders, looked, scanned, verdicts } from "./records.js";
import { acquireScript, extendScript, inspectScript, releaseScript, type Script } from "./scripts.js";
import { evictionWarning, examine, type ServerFacts } from "./server.js";
import { Watches } from "./watches.js";
import { Wire } from "./wire.js";

const noToken = "-".repeat(16);

/** How long each step of a `list` may take: the contract gives it no time of its own. */
const pageMs = 5_000;

/**
 * A driver for Redis 6.2 to 8 and Valkey: a single server, Sentinel or Cluster. The connection is opened by the first call.
 *
 * @throws TypeError when not exactly one of `client`, `connection`, `cluster` and `url` is given; RangeError for a URL or prefix that cannot be.
 */
export function redisDriver(options: RedisDriverOptions): RedisLockDriver {
  return new RedisDriver(options);
}

export interface RedisLockDriver extends LockDriver {
  /** What each server that holds locks says about itself, and what of it can lose locks. Changes nothing. */
  doctor(call: Call): Promise<readonly ServerFacts[]>;
}

/** How claims of one kind become a script call, and its reply outcomes. */
interface Decision<C, T> {
  readonly script: Script;
  /** A place for the script, the number of keys, the keys and the arguments. */
  write(part: readonly C[], group: number): string[];
  read(part: readonly C[], reply: unknown): Outcome<T>[];
}

class RedisDriver implements RedisLockDriver {
  readonly name = "redis";
  readonly capabilities = { scope: "network", minTtlMs: 1, ttlStepMs: 1, maxBatch: 500, watch: true, queue: false } as const;
  /** Groups are the lanes of a Cluster: what one frozen master serves delays nobody else. */
  readonly laneOf?: (key: string) => string;
  readonly #clock: Clock;
  readonly #wire: Wire;
  readonly #names: Names;
  readonly #caller: Caller;
  readonly #watches: Watches;
  readonly #warn: (message: string) => void;

  constructor(options: RedisDriverOptions) {
    checkOptions(options);
    const {
      client,
      connection,
      cluster,
      prefix = "lock:",
    } = options.url === undefined ? options : { ...parseUrl(options.url), ...dropUrl(options) };
    this.#names = new Names(prefix);
    const clock = options.clock ?? systemClock;
    this.#clock = clock;
    const opened = client ?? (cluster === undefined ? openRedis(connection ?? {}) : openCluster(cluster.nodes, cluster.options));
    // Another server may answer after a reconnect, or the same without its data.
    this.#wire = new Wire(opened, client === undefined, clock, () => this.#caller.forget());
    this.#caller = new Caller(this.#wire, this.#names);
    this.#watches = new Watches(this.#wire, clock);
    this.#warn = options.onWarning ?? ((message) => process.emitWarning(message, "DlockWarning"));
    if (this.#wire.sharded) this.laneOf = (key) => String(groupOf(key));
  }

  acquire(claims: readonly AcquireClaim[], call: Call): Promise<readonly Outcome<AcquireResult>[]> {
    return this.#decide(this.#acquire, claims, call);
  }

  extend(claims: readonly ExtendClaim[], call: Call): Promise<readonly Outcome<boolean>[]> {
    return this.#decide(this.#extend, claims, call);
  }

  release(claims: readonly ReleaseClaim[], call: Call): Promise<readonly Outcome<boolean>[]> {
    return this.#decide(this.#release, claims, call);
  }

  async inspect(key: string, call: Call): Promise<readonly Holder[]> {
    const { nowUs, answers } = await this.#look(this.#wire.sharded ? groupOf(key) : 0, [this.#names.record(key)], call.timeoutMs);
    return holders(answers[0], nowUs);
  }

  async *list({ prefix = "" }: { prefix?: string }): AsyncIterable<LockRecord> {
    // Opens the connection, and on a Cluster finds the masters.
    await this.#wire.ready(pageMs);
    // SCAN may show a key twice.
    const seen = new Set<string>();
    for (const master of this.#wire.masters()) {
      let cursor = "0";
      do {
        const scan = ["MATCH", this.#names.pattern(prefix), "COUNT", "500"];
        const page = await this.#wire.sendTo(master, "scan", [cursor, ...scan], this.#clock.now() + pageMs);
        const { next, names } = scanned(page, cursor);
        cursor = next;
        const keys = names.flatMap((name) => {
          const key = this.#names.keyOf(name);
          if (!key?.startsWith(prefix) || seen.has(key)) return [];
          seen.add(key);
          return [key];
        });
        yield* await this.#inspectAll(keys);
      } while (cursor !== "0");
    }
  }

  async watch({ key }: Claim, wake: () => void): Promise<() => void> {
    const group = groupOf(key);
    return this.#watches.watch(this.#names.record(key, group), slotOfGroup(group), wake);
  }

  /** Redis removes what has ended by itself; entries of ended sharers go with the next look at their record, or with it. */
  async sweep(call: Call): Promise<number> {
    await this.#caller.agree(this.#clock.now() + call.timeoutMs, true);
    return 0;
  }

  async ping(call: Call): Promise<void> {
    const endsAt = this.#clock.now() + call.timeoutMs;
    const groups = this.#wire.sharded ? Array.from({ length: groupCount }, (_, group) => group) : [0];
    // A write that is refused wherever a grant would be, and changes nothing: no such key can exist.
    const probe = (group: number) => this.#wire.send(slotOfGroup(group), "set", [this.#names.probe(group), "", "XX", "PX", "1"], endsAt);
    await Promise.all(groups.map(probe));
    for (const master of this.#wire.masters()) {
      const warning = evictionWarning(await this.#wire.sendTo(master, "info", ["memory"], endsAt).catch(() => ""));
      if (warning !== undefined) this.#warn(warning);
    }
  }

  async doctor(call: Call): Promise<readonly ServerFacts[]> {
    const endsAt = this.#clock.now() + call.timeoutMs;
    await this.#wire.ready(call.timeoutMs);
    return Promise.all(this.#wire.masters().map((master) => examine(this.#wire, master, this.#clock, endsAt)));
  }

  async close(): Promise<void> {
    this.#watches.close();
    this.#wire.close();
  }

  readonly #acquire: Decision<AcquireClaim, AcquireResult> = {
    script: acquireScript,
    write: (part, group) => {
      const args = ["", String(part.length + 1), this.#names.counter(group)];
      for (const { key } of part) args.push(this.#names.record(key));
      for (const { owner } of part) args.push(ownerText(owner));
      for (const { ttlMs, mode, limit, metadata } of differing(part, wantTheSame)) {
        const more = metadata === undefined ? "" : `+${metadata}`;
        args.push(String(Math.ceil(ttlMs)), mode === "exclusive" ? `x${more}.` : `s${limit ?? ""}${more}`);
      }
      return args;
    },
    read: acquisitions,
  };

  readonly #extend: Decision<ExtendClaim, boolean> = {
    script: extendScript,
    write: (part) => {
      const args = ["", String(part.length)];
      for (const { key } of part) args.push(this.#names.record(key));
      for (const { owner, token } of part) args.push(tokenText(token) + ownerText(owner));
      for (const { ttlMs, longestMs } of differing(part, areRenewedAlike))
        args.push(String(Math.ceil(ttlMs)), String(Math.ceil(longestMs)));
      return args;
    },
    read: verdicts,
  };

  readonly #release: Decision<ReleaseClaim, boolean> = {
    script: releaseScript,
    write: (part) => {
      const args = ["", String(part.length)];
      for (const { key } of part) args.push(this.#names.record(key));
      for (const { owner, token } of part) args.push((token === undefined ? noToken : tokenText(token)) + ownerText(owner));
      args.push(this.#wire.sharded ? "SPUBLISH" : "PUBLISH");
      return args;
    },
    read: verdicts,
  };

  async #look(group: number, records: readonly string[], timeoutMs: number): Promise<ReturnType<typeof looked>> {
    const args = ["", String(records.length), ...records];
    return looked(await this.#caller.run(inspectScript, slotOfGroup(group), args, this.#clock.now() + timeoutMs), records.length);
  }

  async #inspectAll(keys: readonly string[]): Promise<LockRecord[]> {
    const claims = keys.map((key) => ({ key }));
    const found: LockRecord[] = [];
    for (const [group, part] of this.#parts(claims)) {
      const records = part.map(({ key }) => this.#names.record(key));
      const { nowUs, answers } = await this.#look(group, records, pageMs);
      for (const [index, answer] of answers.entries()) {
        const key = part[index]?.key as string;
        // Something else lies under that name: no lock.
        if (failure(answer) !== undefined) continue;
        for (const holder of holders(answer, nowUs)) found.push({ key, ...holder });
      }
    }
    return found;
  }

  /** A Cluster takes a script only for keys of one slot. Core sends them so (`laneOf`); this is for everyone else. */
  #parts<C extends { key: string }>(claims: readonly C[]): Map<number, C[]> {
    const parts = new Map<number, C[]>();
    for (const claim of claims) {
      const group = this.#wire.sharded ? groupOf(claim.key) : 0;
      const part = parts.get(group);
      if (part === undefined) parts.set(group, [claim]);
      else part.push(claim);
    }
    return parts;
  }

  #decide<C extends Claim, T>(decision: Decision<C, T>, claims: readonly C[], call: Call): Promise<readonly Outcome<T>[]> {
    const endsAt = this.#clock.now() + call.timeoutMs;
    return this.#wire.sharded ? this.#decideEach(decision, claims, endsAt) : this.#decideIn(decision, claims, 0, endsAt);
  }

  async #decideEach<C extends Claim, T>(decision: Decision<C, T>, claims: readonly C[], endsAt: number): Promise<readonly Outcome<T>[]> {
    const answers = new Map<C, Outcome<T>>();
    await Promise.all(
      [...this.#parts(claims)].map(async ([group, part]) => {
        const outcomes = await this.#decideIn(decision, part, group, endsAt);
        for (const [index, claim] of part.entries()) answers.set(claim, outcomes[index] as Outcome<T>);
      }),
    );
    return claims.map((claim) => answers.get(claim) as Outcome<T>);
  }

  #decideIn<C extends Claim, T>(decision: Decision<C, T>, part: readonly C[], group: number, endsAt: number): Promise<Outcome<T>[]> {
    return this.#caller.run(decision.script, slotOfGroup(group), decision.write(part, group), endsAt).then(
      (reply) => {
        const outcomes = decision.read(part, reply);
        for (const outcome of outcomes) if (outcome instanceof Error) this.#heed(outcome, group);
        return outcomes;
      },
      (error: unknown) => {
        if (!isDriverError(error)) throw error;
        this.#heed(error, group);
        // While a slot moves, a script that names keys on both sides is refused (before Redis 7 by each side pointing at the other): then each
        // key is asked for where it is.
        if (part.length === 1 || !/TRYAGAIN|redirections/.test(error.message)) return part.map(() => error);
        return Promise.all(part.map((claim) => this.#decideIn(decision, [claim], group, endsAt))).then((outcomes) => outcomes.flat());
      },
    );
  }

  /** A master that became a replica will not be one again on this connection: the next one leads to the new master. */
  #heed(error: Error, group: number): void {
    if (error.message.includes("READONLY")) this.#wire.renew(slotOfGroup(group));
  }
}

/** One claim for all when they are alike: their terms are sent once. */
function differing<C>(part: readonly C[], alike: (one: C, other: C) => boolean): readonly C[] {
  const [first] = part as readonly [C];
  return part.every((claim) => alike(claim, first)) ? [first] : part;
}

function wantTheSame(one: AcquireClaim, other: AcquireClaim): boolean {
  return one.ttlMs === other.ttlMs && one.mode === other.mode && one.limit === other.limit && one.metadata === other.metadata;
}

function areRenewedAlike(one: ExtendClaim, other: ExtendClaim): boolean {
  return one.ttlMs === other.ttlMs && one.longestMs === other.longestMs;
}

function dropUrl({ url: _, ...rest }: RedisDriverOptions): Omit<RedisDriverOptions, "url"> {
  return rest;
}
