/** The driver: hands the claims of a batch to their strategy, and everything else to the file that owns it. */
import { randomBytes } from "node:crypto";
import { type DriverCapabilities, driverError, type LockDriver, type Outcome, systemClock } from "@dlock/core";
import { Attempt } from "./attempt.js";
import { type Desk, extend, release } from "./claims.js";
import { Failure } from "./failures.js";
import { Leases, minTtlMs, ttlStepMs } from "./leases.js";
import { Ledger } from "./ledger.js";
import { acquireInOrder } from "./mutex.js";
import { type EtcdDriverOptions, setUp } from "./options.js";
import { Places } from "./places.js";
import { type Program, Runner } from "./program.js";
import { Records } from "./records.js";
import { Transactions } from "./transactions.js";
import { acquireAtOnce } from "./txn.js";
import { Views } from "./views.js";
import { Watches } from "./watches.js";

/**
 * etcd takes 128 operations: those of the outer transaction (one for each claim, and the fence) and the deepest nesting in it, which is 4
 * for a queued claim. A little is left for what comes.
 */
const maxBatch = 120;

/**
 * Locks in etcd 3.4 or later: linearizable, a lease for each window of claims, revisions as fencing tokens.
 *
 * @throws TypeError when not exactly one of `client`, `connection` and `url` is given; RangeError for an unknown strategy or URL parameter.
 */
export function etcdDriver(options: EtcdDriverOptions): LockDriver {
  const { members, prefix, strategy, close } = setUp(options);
  const records = new Records(prefix, strategy);
  const leases = new Leases(members);
  const id = randomBytes(12).toString("hex");
  const transactions = new Transactions(members, leases, records.aside(`fence ${id}`));
  const runner = new Runner(transactions, leases);
  const places = new Places(records, id);
  const views = new Views(members, leases, records, places);
  const watches = new Watches(members, (claim, attempt) => views.outlook(claim, attempt));
  const desk: Desk = { records, held: new Ledger(), places, clock: systemClock };
  const acquire = strategy === "mutex" ? acquireInOrder : acquireAtOnce;
  const capabilities: DriverCapabilities = {
    scope: "network",
    minTtlMs,
    ttlStepMs,
    maxBatch,
    watch: true,
    queue: strategy === "mutex",
  };

  const judge = <C, R>(claims: readonly C[], program: (claim: C) => Program<R>, attempt: Attempt): Promise<Outcome<R>[]> =>
    runner.run(claims.map(program), attempt);
  const view = async <T>(work: (attempt: Attempt) => Promise<T>, timeoutMs: number): Promise<T> => {
    try {
      return await work(new Attempt(timeoutMs));
    } catch (error) {
      throw told(error);
    }
  };
  const told = (error: unknown) => (error instanceof Failure ? error.toDriverError(false) : error);

  return {
    name: "etcd",
    capabilities,
    acquire: (claims, call) => judge(claims, (claim) => acquire(desk, claim), new Attempt(call.timeoutMs)),
    extend: (claims, call) => judge(claims, (claim) => extend(desk, claim), new Attempt(call.timeoutMs)),
    async release(claims, call) {
      const attempt = new Attempt(call.timeoutMs);
      const outcomes = await judge(claims, (claim) => release(desk, claim), attempt);
      if (!attempt.uncertain) return outcomes;
      // An earlier try of this call may have been the one that ended it.
      const unclear = driverError("etcd did not answer the first try, and the second found no lease", {
        applied: "unknown",
        retryable: true,
      });
      return outcomes.map((outcome) => (outcome === false ? unclear : outcome));
    },
    inspect: (key, call) => view((attempt) => views.inspect(key, attempt), call.timeoutMs),
    async *list({ prefix = "" }) {
      try {
        yield* views.list(prefix);
      } catch (error) {
        throw told(error);
      }
    },
    watch: (claim, wake) => watches.add(claim, wake),
    sweep() {
      // The server removes what has ended; only what is remembered of it is left to forget.
      const now = systemClock.now();
      desk.held.prune(now);
      desk.places.prune(now);
      return Promise.resolve(0);
    },
    ping: (call) => view((attempt) => views.ping(attempt), call.timeoutMs),
    close() {
      watches.close();
      members.close();
      close();
      return Promise.resolve();
    },
  };
}
