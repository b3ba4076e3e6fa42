/** The driver: which statements answer which call, on which connection, and that the tables fit. */
import { type Call, type DriverCapabilities, isDriverError, type LockDriver, type Outcome } from "@dlock/core";
import { acquire } from "./acquire.js";
import { isSchemaFault, malformed } from "./faults.js";
import { extend, release } from "./holds.js";
import { checkOptions, type MysqlDriverOptions, parseUrl } from "./options.js";
import { Poller } from "./poller.js";
import { prepareSchema } from "./schema.js";
import { type Rank, type Run, Sessions } from "./sessions.js";
import { fromOptions, fromPool } from "./sources.js";
import { tables } from "./sql.js";
import { sweep } from "./sweep.js";
import { inspectKey, listLeases } from "./views.js";

const capabilities: DriverCapabilities = {
  scope: "network",
  minTtlMs: 1,
  ttlStepMs: 1,
  maxBatch: 640,
  wakeMs: 10,
  watch: true,
  queue: false,
};

/** For what has no deadline of its caller's. */
const lookMs = 5_000;

/**
 * Locks in a table of MySQL 8.0+ or MariaDB 10.6+.
 *
 * @throws TypeError unless exactly one of `pool`, `connection` and `url` is given; RangeError for a value out of its range or an unknown
 * parameter of the URL.
 */
export function mysqlDriver(options: MysqlDriverOptions): LockDriver {
  checkOptions(options);
  const { url, pool, connections = 4 } = options;
  const merged = url === undefined ? options : { ...options, ...parseUrl(url) };
  const { connection } = merged;
  const names = tables(merged.table, merged.schema);
  const mayCreate = merged.createTable ?? true;
  const hosts = connection === undefined ? [] : Array.isArray(connection) ? [...connection] : [connection];
  const sessions = new Sessions(pool === undefined ? fromOptions(hosts, connections) : fromPool(pool, connections));
  let tablesFit = false;

  const ask = <T>(rank: Rank, { timeoutMs }: Call, work: (run: Run) => Promise<T>): Promise<T> =>
    sessions.use(rank, timeoutMs, async (run) => {
      let sent = false;
      const counted: Run = async (sql, more) => {
        const answer = await run(sql, more);
        sent = true;
        return answer;
      };
      for (let tries = 1; ; tries++) {
        try {
          if (!tablesFit) await prepareSchema(run, names, mayCreate);
          tablesFit = true;
          return await work(counted);
        } catch (error) {
          if (!isDriverError(error)) throw malformed(error);
          if (!isSchemaFault(error)) throw error;
          tablesFit = false;
          // Somebody dropped the tables under us; the statement was not applied, and if it was the first it can be sent again.
          if (sent || tries > 1) throw error;
        }
      }
    });
  const look = <T>(work: (run: Run) => Promise<T>) => ask("look", { timeoutMs: lookMs }, work);
  const poller = new Poller(names, look);

  return {
    name: "mysql",
    capabilities,
    acquire: (claims, call) =>
      answered(
        claims,
        ask("acquire", call, (run) => acquire(run, names, claims)),
      ),
    extend: (claims, call) =>
      answered(
        claims,
        ask("renewal", call, (run) => extend(run, names, claims, call.timeoutMs)),
      ),
    release: (claims, call) =>
      answered(
        claims,
        ask("release", call, (run) => release(run, names, claims, call.timeoutMs)),
      ),
    inspect: (key, call) => ask("look", call, (run) => inspectKey(run, names, key)),
    list: ({ prefix = "" }) => listLeases(look, names, prefix),
    watch: (claim, wake) => Promise.resolve(poller.watch(claim.key, wake)),
    async sweep({ timeoutMs }) {
      try {
        return await sweep(names, timeoutMs, (work, leftMs = timeoutMs) => ask("look", { timeoutMs: leftMs }, work));
      } catch (error) {
        throw isDriverError(error) ? error : malformed(error);
      }
    },
    // Writes nothing, and yet a server that is read-only or lacks the table refuses it.
    ping: (call) => ask("look", call, async (run) => void (await run(`UPDATE ${names.leases} SET token = token WHERE lock_key = ''`))),
    close() {
      poller.close();
      sessions.close();
      return Promise.resolve();
    },
  };
}

/** A batch that failed as a whole failed for each claim: a throw could not say that nothing was applied. */
async function answered<T>(claims: readonly unknown[], outcomes: Promise<readonly Outcome<T>[]>): Promise<readonly Outcome<T>[]> {
  try {
    return await outcomes;
  } catch (error) {
    if (!isDriverError(error)) throw error;
    return claims.map(() => error);
  }
}
