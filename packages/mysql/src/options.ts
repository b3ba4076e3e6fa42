/** What a driver is made of: a pool, options of mysql2, or a URL. */
import { decodeUrlPart } from "@dlock/core";
import type { ConnectionOptions } from "mysql2";
import type { MysqlPool, MysqlPromisePool } from "./client.js";

/** Where the locks live: exactly one of `pool`, `connection` and `url`. */
export interface MysqlDriverOptions {
  /**
   * A pool of `mysql2` or `mysql2/promise` that you have, and close yourself, after the driver. The driver takes up to half of its
   * connections, at most `connections`, out of it when it first needs them and keeps them to itself, so that nothing the application does
   * on the others delays a renewal or gets a lock into a transaction. Connections it no longer needs it closes; the pool opens new ones.
   */
  pool?: MysqlPool | MysqlPromisePool;
  /**
   * The options of mysql2, as they are: the driver opens and closes its connections. Several of them are the hosts of one cluster, tried
   * in this order when one is away or refuses to write.
   */
  connection?: ConnectionOptions | readonly ConnectionOptions[];
  /** `mysql://user:password@host:port/database`, with further hosts as `&node=host:port`. See the README. */
  url?: string | URL;
  /** The table, beside which there are two more, `…_shared` and `…_floor`; 1 to 57 characters. @default "distributed_locks" */
  table?: string;
  /** The schema (database) of the tables. Default: that of the connection. */
  schema?: string;
  /** Whether tables that are missing are created when first needed, which takes the right to. @default true */
  createTable?: boolean;
  /** The most connections the driver uses at a time, 2 to 64. More help only while statements wait for rows. @default 4 */
  connections?: number;
}

const kinds = ["pool", "connection", "url"] as const;
const names: readonly string[] = [...kinds, "table", "schema", "createTable", "connections"] satisfies (keyof MysqlDriverOptions)[];

/** @throws TypeError unless exactly one source is given, RangeError for a value out of its range. */
export function checkOptions(options: MysqlDriverOptions): void {
  for (const name of Object.keys(options ?? {}))
    if (!names.includes(name)) throw new TypeError(`mysqlDriver: unknown option ${JSON.stringify(name)}; accepted are ${names.join(", ")}`);
  const given = kinds.filter((kind) => options?.[kind] !== undefined);
  if (given.length !== 1) {
    throw new TypeError(`mysqlDriver takes exactly one of ${kinds.join(", ")}; given: ${given.join(", ") || "none"}`);
  }
  const { pool, connection, connections, createTable, url } = options;
  if (url !== undefined && typeof url !== "string" && !(url instanceof URL)) throw new TypeError("url must be a string or a URL");
  const inner = pool !== undefined && pool !== null && typeof pool === "object" && "pool" in pool ? pool.pool : pool;
  if (pool !== undefined && typeof (inner as MysqlPool | null)?.getConnection !== "function")
    throw new TypeError("pool must be a pool of mysql2");
  const hosts = connection === undefined ? [] : Array.isArray(connection) ? connection : [connection];
  if (!hosts.every((host) => typeof host === "object" && host !== null))
    throw new TypeError("connection must be an object of mysql2's options, or an array of them");
  if (Array.isArray(connection) && connection.length === 0) throw new RangeError("connection must name at least one host, got []");
  if (connections !== undefined && !(Number.isInteger(connections) && connections >= 2 && connections <= 64)) {
    throw new RangeError(
      `connections must be a whole number from 2 to 64, got ${typeof connections === "number" ? connections : typeof connections}`,
    );
  }
  if (createTable !== undefined && typeof createTable !== "boolean") {
    throw new TypeError(`createTable must be true or false, got ${typeof createTable}`);
  }
}

const parameters = ["table", "createTable", "ssl", "node"];

/** The options that a URL stands for. @throws RangeError for a parameter that does not exist or a value that makes no sense. */
export function parseUrl(address: string | URL): Pick<MysqlDriverOptions, "table" | "createTable"> & { connection: ConnectionOptions[] } {
  const url = parse(address);
  if (url.protocol !== "mysql:" && url.protocol !== "mariadb:") throw new RangeError(`not a MySQL URL: it starts with "${url.protocol}"`);
  for (const name of url.searchParams.keys()) {
    if (!parameters.includes(name)) {
      throw new RangeError(`unknown parameter "${name}" in a ${url.protocol} URL; known are ${parameters.join(", ")}`);
    }
  }
  const database = decodeUrlPart("the path of the URL", url.pathname.slice(1));
  if (database === "" || database.includes("/")) throw new RangeError(`the path of a ${url.protocol} URL is the name of a database`);
  const common: ConnectionOptions = { database };
  if (url.username !== "") common.user = decodeUrlPart("the user name in the URL", url.username);
  if (url.password !== "") common.password = decodeUrlPart("the password in the URL", url.password);
  if (flag(url, "ssl") === true) common.ssl = {};
  const first = { host: unbracket(url.hostname) || "127.0.0.1", port: url.port === "" ? 3_306 : Number(url.port) };
  const table = url.searchParams.get("table");
  const createTable = flag(url, "createTable");
  return {
    connection: [first, ...url.searchParams.getAll("node").map(parseNode)].map((host) => ({ ...common, ...host })),
    ...(table === null ? {} : { table }),
    ...(createTable === undefined ? {} : { createTable }),
  };
}

function parse(address: string | URL): URL {
  try {
    return new URL(address);
  } catch {
    // Without the text, and without a cause that quotes it: there may be a password in it.
    throw new TypeError("url must be a URL such as mysql://user:password@host:3306/database");
  }
}

function flag(url: URL, name: string): boolean | undefined {
  const value = url.searchParams.get(name);
  if (value === null) return undefined;
  if (value !== "true" && value !== "false") throw new RangeError(`the parameter "${name}" must be true or false, got "${value}"`);
  return value === "true";
}

function parseNode(node: string): { host: string; port: number } {
  const [, host, port] = /^(\[[^\]]+\]|[^:]+)(?::(\d{1,5}))?$/.exec(node) ?? [];
  if (host === undefined) throw new RangeError(`the parameter "node" must be host or host:port, got "${node}"`);
  return { host: unbracket(host), port: port === undefined ? 3_306 : Number(port) };
}

function unbracket(host: string): string {
  return host.replace(/^\[(.*)\]$/, "$1");
}
