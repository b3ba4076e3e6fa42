/** Where the driver's connections come from: out of the caller's pool, or opened with the caller's options. */
import { driverError, isDriverError, systemClock, type Timer } from "@dlock/core";
import { type ConnectionOptions, createConnection } from "mysql2";
import type { MysqlConnection, MysqlError, MysqlPool, MysqlPromisePool } from "./client.js";
import { isUnsent, toDriverError } from "./faults.js";
import { Session } from "./session.js";
import type { Opening, SessionSource } from "./sessions.js";

const idleMs = 30_000;
const setUpMs = 5_000;
/** mysql2's own default is 10 s. */
const connectMs = 3_000;

/** Takes connections out of a pool for good. */
export function fromPool(given: MysqlPool | MysqlPromisePool, connections: number): SessionSource {
  const pool = "pool" in given ? given.pool : given;
  const size = pool.config?.connectionLimit ?? 10;
  return {
    // 0 is mysql2's word for no limit.
    limit: size === 0 ? connections : Math.max(1, Math.min(connections, Math.floor(size / 2))),
    // The application cannot do without the only one.
    idleMs: size === 1 ? 0 : idleMs,
    keepsNone: size === 1,
    hosts: 1,
    async open(opening) {
      for (let tries = 1; ; tries++) {
        const connection = await checkOut(pool);
        if (typeof connection.reset !== "function") {
          connection.release?.();
          throw driverError("the pool's mysql2 cannot reset a connection: update mysql2", { applied: "no", retryable: false });
        }
        const session = new Session(connection);
        opening.begun(() => session.close());
        try {
          await session.setUp(setUpMs, true);
          return session;
        } catch (error) {
          session.close();
          // A pool does not notice that a connection died while it was idle; the next one may be alive.
          const died = isUnsent(error) || (isDriverError(error) && error.applied === "unknown" && error.retryable);
          if (!died || tries > size || opening.stopped) throw nothingDone(error);
        }
      }
    },
  };
}

function checkOut(pool: MysqlPool): Promise<MysqlConnection> {
  return new Promise((resolve, reject) => {
    pool.getConnection((error, connection) => {
      if (error) reject(toDriverError(error as MysqlError, false));
      else resolve(connection);
    });
  });
}

/** Opens connections to the first of `hosts` that lets it. */
export function fromOptions(hosts: readonly ConnectionOptions[], connections: number): SessionSource {
  let current = 0;
  const turn = () => {
    current = (current + 1) % hosts.length;
  };
  return {
    limit: connections,
    idleMs,
    keepsNone: false,
    hosts: hosts.length,
    turn,
    async open(opening) {
      for (let tries = 1; ; tries++) {
        const host = current;
        try {
          return await connect(hosts[host] as ConnectionOptions, opening);
        } catch (error) {
          if (tries >= hosts.length || opening.stopped) throw error;
          // Unless another attempt has turned already.
          if (current === host) turn();
        }
      }
    },
  };
}

async function connect(options: ConnectionOptions, opening: Opening): Promise<Session> {
  const connection = createConnection({ connectTimeout: connectMs, ...options });
  const session = new Session(connection);
  let timer: Timer | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      const fail = (message: string) => reject(toDriverError({ message }, false));
      // Covers what mysql2's own time limit does not, such as a TLS handshake that stalls.
      timer = systemClock.setTimer(() => fail("no connection in time"), setUpMs, true);
      opening.begun(() => {
        session.close();
        fail("the driver was closed");
      });
      connection.connect((error) => {
        if (error) reject(toDriverError(error, false));
        else resolve();
      });
    });
    await session.setUp(setUpMs, false);
    return session;
  } catch (error) {
    session.close();
    throw nothingDone(error);
  } finally {
    timer?.cancel();
  }
}

/** Whatever went wrong while a connection was opened, no claim was sent. */
function nothingDone(error: unknown): unknown {
  if (!isDriverError(error)) return error;
  return driverError(error.message, { applied: "no", retryable: error.retryable, cause: error.cause });
}
