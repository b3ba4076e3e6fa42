/** What a driver is made of: a client, options of ioredis, or a URL. */
import { type Clock, checkSection, decodeUrlPart } from "@dlock/core";
import { Cluster, type ClusterNode, type ClusterOptions, Redis, type RedisOptions } from "ioredis";

/** Where the locks live: exactly one of `client`, `connection`, `cluster` and `url`. */
export interface RedisDriverOptions {
  /** A client you have, and close yourself: of a single server, under Sentinel, or of a Cluster. It is used as it is, beside your own commands. */
  client?: Redis | Cluster;
  /**
   * The options of a `Redis` of ioredis, Sentinel's included, as they are: the driver opens and closes the connection. It sets for itself how
   * lost connections are treated (`enableOfflineQueue`, `autoResendUnfulfilledCommands`, `maxRetriesPerRequest`, `commandTimeout`).
   */
  connection?: RedisOptions;
  /** The arguments of a `Cluster` of ioredis: the driver opens and closes the connections, as with `connection`. */
  cluster?: { nodes: ClusterNode[]; options?: ClusterOptions };
  /** `redis://`, `rediss://`; with `?sentinel=name` or `?cluster=true` and further hosts as `&node=host:port`. See the README. */
  url?: string | URL;
  /**
   * What the names of all keys and channels start with. Clients with different prefixes have nothing to do with each other. No braces.
   *
   * @default "lock:"
   */
  prefix?: string;
  /**
   * Told about a server that is set up in a way that can lose locks, such as an eviction policy; found out by `ping`.
   *
   * @default `process.emitWarning`
   */
  onWarning?: (message: string) => void;
  /** Time; another one only in tests. @default `systemClock` */
  clock?: Clock;
}

const shape = {
  client: "object",
  connection: "object",
  cluster: "object",
  prefix: "string",
  onWarning: "function",
  clock: "object",
} as const satisfies Omit<Record<keyof RedisDriverOptions, string>, "url">;

/** @throws TypeError that names the option. */
export function checkOptions(options: RedisDriverOptions): void {
  if (typeof options !== "object" || options === null)
    throw new TypeError("redisDriver takes options: exactly one of client, connection, cluster and url must be given");
  const { url, ...rest } = options;
  checkSection("redisDriver", rest, { ...shape, url: "object" });
  if (url !== undefined && typeof url !== "string" && !(url instanceof URL))
    throw new TypeError("redisDriver.url must be a string or a URL");
  const { client, connection, cluster } = options;
  const given = [client, connection, cluster, url].filter((value) => value !== undefined);
  if (given.length !== 1) throw new TypeError("redisDriver needs exactly one of client, connection, cluster and url");
  if (client !== undefined && typeof client.sendCommand !== "function")
    throw new TypeError("redisDriver.client must be a Redis or a Cluster of ioredis");
  if (cluster !== undefined && !Array.isArray(cluster.nodes)) throw new TypeError("redisDriver.cluster.nodes must be an array");
}

/** How connections of our own treat loss: a request is never sent twice and never waits in a queue; who asked is told at once. */
const ours = {
  lazyConnect: true,
  enableAutoPipelining: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  commandTimeout: undefined,
  blockingTimeout: undefined,
  // ioredis keeps a timer for so long after a connection was ended, even one that was gone already.
  disconnectTimeout: 1,
  keyPrefix: "",
  replyMapping: "legacy",
} satisfies RedisOptions;

/** Defaults of ours that the user's options override. */
const gentle = {
  connectTimeout: 3_000,
  // Saves a permission, and a server that is full is heard out: it answers the first command only, and closes.
  disableClientInfo: true,
  // Reconnecting is cheap, and the first tries often meet a server that is just coming back.
  retryStrategy: (times: number) => Math.min(25 * 2 ** Math.min(times, 6), 1_000),
} satisfies RedisOptions;

export function openRedis(connection: RedisOptions): Redis {
  return new Redis({
    ...gentle,
    // The check sees to it that Sentinel led to a master; elsewhere the server's own LOADING is the clearer answer.
    enableReadyCheck: Boolean(connection.sentinels),
    sentinelCommandTimeout: 1_000,
    ...connection,
    ...ours,
    enableOfflineQueue: false,
  });
}

export function openCluster(nodes: ClusterNode[], options: ClusterOptions = {}): Cluster {
  return new Cluster(nodes, {
    ...options,
    lazyConnect: true,
    keyPrefix: "",
    // A request whose connection broke may have been applied: whether to repeat it is not for ioredis to decide.
    retryDelayOnFailover: 0,
    redisOptions: {
      connectTimeout: gentle.connectTimeout,
      disableClientInfo: true,
      enableReadyCheck: false,
      ...options.redisOptions,
      ...ours,
    },
  });
}

/** Without the cause: that one holds the URL, and a password in it. */
function parsed(url: string | URL): URL {
  try {
    return new URL(url);
  } catch {
    throw new TypeError("redisDriver.url must be a URL such as redis://localhost:6379");
  }
}

/** The options that a URL stands for. @throws RangeError for a parameter that does not exist or a value that makes no sense. */
export function parseUrl(url: string | URL): Pick<RedisDriverOptions, "connection" | "cluster" | "prefix"> {
  const { protocol, hostname, port, username, password, pathname, searchParams } = parsed(url);
  if (protocol !== "redis:" && protocol !== "rediss:") throw new RangeError(`not a Redis URL: it starts with "${protocol}"`);
  const known = ["prefix", "sentinel", "sentinelUsername", "sentinelPassword", "cluster", "node"];
  for (const name of searchParams.keys()) {
    if (!known.includes(name)) throw new RangeError(`unknown parameter "${name}" in a ${protocol} URL; known are ${known.join(", ")}`);
  }
  const db = Number(pathname.slice(1));
  if (!Number.isInteger(db) || db < 0) throw new RangeError(`the path of a ${protocol} URL is the number of a database, not "${pathname}"`);
  const secure = protocol === "rediss:";
  const sentinel = searchParams.get("sentinel");
  if (sentinel === "") throw new RangeError('the parameter "sentinel" is the name of a master, and not empty');
  const cluster = searchParams.get("cluster");
  if (cluster !== null && cluster !== "true") throw new RangeError(`the parameter "cluster" can only be true, not "${cluster}"`);
  const defaultPort = sentinel === null ? 6_379 : 26_379;
  const first = { host: unbracket(hostname) || "127.0.0.1", port: port === "" ? defaultPort : Number(port) };
  const nodes = [first, ...searchParams.getAll("node").map((node) => parseNode(node, defaultPort))];
  if (nodes.length > 1 && sentinel === null && cluster === null)
    throw new RangeError('the parameter "node" needs "sentinel" or "cluster=true"');
  const login: RedisOptions = {
    ...(username === "" ? {} : { username: decodeUrlPart("the user name in the URL", username) }),
    ...(password === "" ? {} : { password: decodeUrlPart("the password in the URL", password) }),
    ...(secure ? { tls: {} } : {}),
  };
  const prefix = searchParams.get("prefix");
  const rest = prefix === null ? {} : { prefix };
  if (cluster !== null) {
    if (sentinel !== null || db !== 0) throw new RangeError("a Redis Cluster has neither Sentinels nor numbered databases");
    return { cluster: { nodes, options: { redisOptions: login } }, ...rest };
  }
  if (sentinel === null) return { connection: { ...first, ...login, db }, ...rest };
  const sentinelUsername = searchParams.get("sentinelUsername");
  const sentinelPassword = searchParams.get("sentinelPassword");
  const connection: RedisOptions = {
    sentinels: nodes,
    name: sentinel,
    db,
    ...login,
    ...(sentinelUsername === null ? {} : { sentinelUsername }),
    ...(sentinelPassword === null ? {} : { sentinelPassword }),
    ...(secure ? { enableTLSForSentinelMode: true, sentinelTLS: {} } : {}),
  };
  return { connection, ...rest };
}

function parseNode(node: string, defaultPort: number): { host: string; port: number } {
  const [, host, port] = /^(\[[^\]]+\]|[^:]+)(?::(\d+))?$/.exec(node) ?? [];
  if (host === undefined) throw new RangeError(`the parameter "node" is host:port, not "${node}"`);
  return { host: unbracket(host), port: port === undefined ? defaultPort : Number(port) };
}

function unbracket(host: string): string {
  return host.replace(/^\[|\]$/g, "");
}
