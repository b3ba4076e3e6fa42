/** Redis servers: one alone, a master with a replica under three Sentinels, and a Cluster of three masters with a replica each. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
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
    // A replica need not wait for further ones to share the transfer with.
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

export interface RedisSentinel {
  /** The name of the watched master, for clients. */
  readonly name: string;
  /** The two servers; which of them is the master changes with a failover. */
  readonly servers: readonly [Service, Service];
  readonly sentinels: readonly Service[];
  /** Asks a Sentinel which server is the master now. */
  master(): Promise<Service>;
  stop(): Promise<void>;
}

/** Starts a master, a replica and three Sentinels that fail over when the master has been silent for 500 ms. */
export async function startRedisSentinel(options: RedisOptions = {}): Promise<RedisSentinel> {
  const name = "dlock";
  const first = await startRedis(options);
  const second = await startRedis({ ...options, config: { ...options.config, replicaof: `${loopback} ${first.port}` } });
  await until(async () => (await ask(second.port, "ROLE")).includes("connected"));
  const sentinels = await Promise.all(
    [0, 1, 2].map(async () => {
      const port = await freePort();
      const folder = await temporaryFolder("sentinel");
      const file = join(folder, "sentinel.conf");
      // Sentinels write what they learn into their file, so it cannot be options alone.
      await writeFile(
        file,
        `port ${port}
bind ${loopback}
dir ${folder}
sentinel monitor ${name} ${loopback} ${first.port} 2
sentinel down-after-milliseconds ${name} 500
sentinel failover-timeout ${name} 2000
`,
      );
      return startService({
        program: "redis-sentinel",
        url: `redis://${loopback}:${port}`,
        port,
        folder,
        args: [file],
        ready: async () => (await firstAnswer(port, "PING\r\n")).toString().startsWith("+PONG"),
      });
    }),
  );
  // A failover needs Sentinels that know each other and the replica.
  for (const { port } of sentinels) {
    await until(async () => {
      const facts = await ask(port, `SENTINEL MASTER ${name}`);
      return /num-slaves\r\n\$\d+\r\n1\r\n/.test(facts) && /num-other-sentinels\r\n\$\d+\r\n2\r\n/.test(facts);
    });
  }
  const servers = [first, second] as const;
  return {
    name,
    servers,
    sentinels,
    async master() {
      for (const { port } of sentinels) {
        const answer = await ask(port, `SENTINEL GET-MASTER-ADDR-BY-NAME ${name}`).catch(() => "");
        const found = servers.find((server) => answer.includes(`\r\n${server.port}\r\n`));
        if (found !== undefined) return found;
      }
      throw new Error("no Sentinel answers");
    },
    async stop() {
      await Promise.all([...servers, ...sentinels].map((service) => service.stop()));
    },
  };
}

export interface RedisCluster {
  /** The first three started as masters, the others as their replicas, in the same order. */
  readonly nodes: readonly Service[];
  /** Which node is the master of a slot now, in the view of the first node that answers. */
  masterOf(slot: number): Promise<Service>;
  stop(): Promise<void>;
}

/** Starts three masters with a replica each, which takes over when its master has been silent for a second. */
export async function startRedisCluster(options: RedisOptions = {}): Promise<RedisCluster> {
  const nodes: Service[] = [];
  for (let index = 0; index < 6; index++) {
    nodes.push(
      await startRedis({
        ...options,
        config: {
          "cluster-enabled": "yes",
          "cluster-config-file": "nodes.conf",
          "cluster-port": String(await freePort()),
          "cluster-node-timeout": "1000",
          // A replica takes over however old its data are: tests want the failover, and check what it loses.
          "cluster-replica-validity-factor": "0",
          ...options.config,
        },
      }),
    );
  }
  const ports = nodes.map(({ port }) => port);
  const busPorts: number[] = [];
  const ids: string[] = [];
  for (const port of ports) {
    const line = bulk(await ask(port, "CLUSTER NODES"));
    ids.push(line.split(" ")[0] ?? "");
    busPorts.push(Number(/@(\d+)/.exec(line)?.[1]));
  }
  for (const [index, port] of ports.entries()) {
    if (index > 0) await ask(ports[0] ?? 0, `CLUSTER MEET ${loopback} ${port} ${busPorts[index]}`);
  }
  const bounds = [0, 5461, 10_923, 16_384];
  for (let index = 0; index < 3; index++) {
    await ask(ports[index] ?? 0, `CLUSTER ADDSLOTSRANGE ${bounds[index]} ${(bounds[index + 1] ?? 0) - 1}`);
  }
  for (let index = 3; index < 6; index++) {
    await until(async () => (await ask(ports[index] ?? 0, `CLUSTER REPLICATE ${ids[index - 3]}`)).startsWith("+OK"));
  }
  for (const port of ports) {
    await until(async () => {
      const info = await ask(port, "CLUSTER INFO");
      const table = bulk(await ask(port, "CLUSTER NODES"));
      return info.includes("cluster_state:ok") && [...table.matchAll(/\bslave /g)].length === 3;
    });
  }
  for (const port of ports.slice(3)) await until(async () => (await ask(port, "ROLE")).includes("connected"));
  return {
    nodes,
    async masterOf(slot) {
      for (const { port } of nodes) {
        const table = bulk(await ask(port, "CLUSTER NODES").catch(() => ""));
        for (const line of table.split("\n")) {
          const [, address = "", flags = "", , , , , , ...ranges] = line.split(" ");
          const holds = ranges.some((range) => {
            const [from, to] = range.split("-").map(Number);
            return from !== undefined && slot >= from && slot <= (to ?? from);
          });
          const found = nodes.find((node) => address.startsWith(`${loopback}:${node.port}@`));
          if (holds && flags.includes("master") && !flags.includes("fail") && found !== undefined) return found;
        }
      }
      throw new Error(`no node knows a working master of slot ${slot}`);
    },
    async stop() {
      await Promise.all(nodes.map((node) => node.stop()));
    },
  };
}

/** Sends one command; resolves to the first piece of the answer, as it came. */
async function ask(port: number, command: string): Promise<string> {
  return (await firstAnswer(port, `${command}\r\n`)).toString();
}

/** The text of an answer that is one string. */
function bulk(answer: string): string {
  return answer.slice(answer.indexOf("\r\n") + 2);
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (let waitedMs = 0; !(await condition().catch(() => false)); waitedMs += 20) {
    if (waitedMs > 30_000) throw new Error(`Redis did not become ready: ${condition.toString()}`);
    await sleep(20);
  }
}
