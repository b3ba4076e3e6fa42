/** What users give, and what becomes of it: a client of etcd3 that is ours or theirs, a prefix and a strategy. */

import { checkSection, decodeUrlPart } from "@dlock/core";
import type { Etcd3, IOptions } from "etcd3";
import etcd3 from "etcd3";
import type { Credentials, Host } from "./members.js";
import { Members } from "./members.js";
import type { Strategy } from "./records.js";

export interface EtcdDriverOptions {
  /**
   * The user's own client of etcd3: its connections are used, its retries, deadlines and circuit breaker are not. Never closed by the driver.
   * When: the program has one already. Trap: a client without keep-alive options finds out late that a connection is dead; `connection` sets them.
   */
  client?: Etcd3;
  /** etcd3's own options, as they are (hosts, TLS, user and password); the driver opens the client and closes it. */
  connection?: IOptions;
  /** `etcd://user:password@host:2379?node=host2:2379&tls=true`; the driver opens the client and closes it. */
  url?: string | URL;
  /**
   * What the names of all records start with.
   *
   * @default "lock:"
   */
  prefix?: string;
  /**
   * How the next holder is found. `txn`: whoever asks first. `mutex`: in the order of asking, across processes, for those that wait. All
   * processes that share a lock use the same; a key that is held with the other is refused with an error.
   *
   * @default "txn"
   */
  strategy?: Strategy;
}

export const defaultPrefix = "lock:";

/** What the driver is made of. */
export interface Setup {
  readonly members: Members;
  readonly prefix: string;
  readonly strategy: Strategy;
  /** Closes what the driver opened itself. */
  close(): void;
}

/** The parts of etcd3's pool that are used; not in its types (docs/decisions/0003-etcd-calls.md). */
interface Pool {
  readonly hosts: readonly Host[];
  readonly options: { readonly auth?: Credentials };
}

/** A dead connection is noticed within 13 s, and a member that is back within a second. */
const channelOptions = {
  "grpc.keepalive_time_ms": 10_000,
  "grpc.keepalive_timeout_ms": 3_000,
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 1_000,
};

/** @throws TypeError when not exactly one of `client`, `connection` and `url` is given, or the client is not one of etcd3. */
export function setUp(options: EtcdDriverOptions): Setup {
  checkOptions(options);
  const given = [options.client, options.connection, options.url].filter((each) => each !== undefined).length;
  if (given !== 1) throw new TypeError(`give exactly one of client, connection and url; ${given} were given`);
  const { client, connection, prefix, strategy } = options.url === undefined ? options : { ...fromUrl(new URL(options.url)), ...options };
  const own = connection === undefined ? undefined : open(connection);
  const pool = ((client ?? own) as unknown as { pool?: Pool }).pool;
  if (!Array.isArray(pool?.hosts)) throw new TypeError("client: expected an Etcd3 client of etcd3 1.x");
  return {
    members: new Members(pool.hosts, pool.options.auth),
    prefix: prefix ?? defaultPrefix,
    strategy: strategyOf(strategy),
    close: () => own?.close(),
  };
}

const shape = { client: "object", connection: "object", url: "object", prefix: "string", strategy: "string" } as const;

function checkOptions(options: EtcdDriverOptions): void {
  if (typeof options !== "object" || options === null) throw new TypeError("etcdDriver takes an object of options");
  const { url, ...rest } = options;
  checkSection("etcdDriver", rest, shape);
  if (url !== undefined && !(url instanceof URL) && !(typeof url === "string" && URL.canParse(url)))
    throw new TypeError("etcdDriver.url must be a URL such as etcd://localhost:2379");
  const hosts: unknown = options.connection?.hosts;
  const isHosts = (Array.isArray(hosts) ? hosts : [hosts]).every((host) => typeof host === "string");
  if (options.connection !== undefined && !isHosts)
    throw new TypeError("etcdDriver.connection.hosts must be a URL such as http://localhost:2379, or an array of them");
}

/** @throws RangeError for any other. */
export function strategyOf(strategy: string | undefined): Strategy {
  if (strategy === undefined || strategy === "txn") return "txn";
  if (strategy === "mutex") return "mutex";
  throw new RangeError(`strategy: expected "txn" or "mutex", got ${JSON.stringify(strategy)}`);
}

function open(options: IOptions): Etcd3 {
  return new etcd3.Etcd3({ ...options, grpcOptions: { ...channelOptions, ...options.grpcOptions } });
}

/**
 * `etcd://[user:password@]host[:2379]` with the parameters `node` (a further member, as `host:port`; may be repeated), `tls` (`true` or
 * `false`), `prefix` and `strategy`. Members with commas between them, as etcd's own tools take them, do not parse as a URL once they have
 * ports, hence the parameter.
 *
 * @throws RangeError for what is not known, by its name; never with the password.
 */
function fromUrl(url: URL): Pick<EtcdDriverOptions, "connection" | "prefix" | "strategy"> & { client?: undefined } {
  if (url.protocol !== "etcd:") throw new RangeError(`expected a URL that starts with etcd://, got ${url.protocol}`);
  if (url.hostname === "") throw new RangeError("an etcd:// URL names a host, such as etcd://localhost:2379");
  if (url.pathname !== "" && url.pathname !== "/")
    throw new RangeError("an etcd:// URL has no path; the prefix is a parameter: ?prefix=lock:");
  const known = new Set(["node", "tls", "prefix", "strategy"]);
  for (const name of url.searchParams.keys()) {
    if (!known.has(name)) throw new RangeError(`unknown parameter "${name}" in an etcd:// URL; known are ${[...known].join(", ")}`);
    if (name !== "node" && url.searchParams.getAll(name).length > 1)
      throw new RangeError(`the parameter "${name}" is given more than once`);
  }
  const tls = url.searchParams.get("tls") ?? "false";
  if (tls !== "true" && tls !== "false") throw new RangeError(`tls: expected true or false, got ${JSON.stringify(tls)}`);
  const scheme = tls === "true" ? "https" : "http";
  const hosts = [`${url.hostname}:${url.port || "2379"}`, ...url.searchParams.getAll("node")].map((host) => `${scheme}://${host}`);
  const username = decodeUrlPart("the user name in the URL", url.username);
  const password = decodeUrlPart("the password in the URL", url.password);
  const prefix = url.searchParams.get("prefix");
  return {
    connection: username === "" ? { hosts } : { hosts, auth: { username, password } },
    ...(prefix === null ? {} : { prefix }),
    ...(url.searchParams.has("strategy") ? { strategy: strategyOf(url.searchParams.get("strategy") as string) } : {}),
  };
}
