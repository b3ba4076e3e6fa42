/** Redis servers: one alone, a master with a replica under three Sentinels, and a Cluster of three masters with a replica each. */
import { freePort, loopback } from "./ports.js";
import { firstAnswer } from "./probe.js";
import { type Service, startService, temporaryFolder } from "./service.js";

export interface RedisOptions {
  /** Directives of redis.conf, such as `{ appendonly: "yes" }`. A directive with several words is one string: `{ save: "60 1" }`. */
  readonly config?: Readonly<Record<string, string>>;
  /** Further environment variables, such as those of libfaketime. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Starts one server. It keeps nothing on disk unless `config` says so: a restart then is a restart without data. */
export async function startRedis(options: RedisOptions = {}): Promise<Service> {
  const port = await freePort();
  const folder = await temporaryFolder("redis");
  const config: Record<string, string> = {
    port: String(port),
    bind: loopback,
    dir: folder,
    save: "",
    appendonly: "no",
    daemonize: "no",
    // As in production; the replica of a test must not wait 5 s for the master to collect more replicas.
    "repl-diskless-sync-delay": "0",
    ...options.config,
  };
  const secret = config.requirepass === undefined ? "" : `:${encodeURIComponent(config.requirepass)}@`;
  return startService({
    program: "redis-server",
    url: `redis://${secret}${loopback}:${port}`,
    port,
    folder,
    args: Object.entries(config).flatMap(([name, value]) => [`--${name}`, ...(value === "" ? [""] : value.split(" "))]),
    env: options.env,
    // Any answer but "I am loading": a server with a password says NOAUTH, and that is an answer.
    ready: async () => !(await firstAnswer(port, "PING\r\n")).toString().startsWith("-LOADING"),
  });
}
