/** What is tortured: a server that belongs to someone, or one of our own behind a proxy for each worker. */
import { startProxy, type TcpProxy } from "@dlock-tooling/faults";
import { type Service, startEtcd, startMysql, startRedis } from "@dlock-tooling/services";
import type { BackendName } from "./options.js";

export interface Target {
  /** Where each worker finds the locks. */
  readonly urls: readonly string[];
  /** The way around all faults of the network. */
  readonly url: string;
  /** Ours to harm. */
  readonly server: Service | undefined;
  /** Each worker's way to the server; empty for a server that is not ours. */
  readonly proxies: readonly TcpProxy[];
  stop(): Promise<void>;
}

export function targetAt(url: string, workers: number): Target {
  return { url, urls: Array.from({ length: workers }, () => url), server: undefined, proxies: [], stop: async () => {} };
}

/** Starts a server that forgets nothing when it is killed: a server that may forget would have to be forgiven overlaps. */
export async function startTarget(backend: BackendName, workers: number): Promise<Target> {
  const { server, url } = await startServer(backend);
  const proxies = await Promise.all(Array.from({ length: workers }, () => startProxy(server)));
  return {
    url,
    urls: proxies.map((proxy) => proxy.through(url)),
    server,
    proxies,
    async stop() {
      await Promise.all(proxies.map((proxy) => proxy.close()));
      await server.stop();
    },
  };
}

async function startServer(backend: BackendName): Promise<{ server: Service; url: string }> {
  if (backend === "redis") {
    const server = await startRedis({ config: { appendonly: "yes", appendfsync: "always" } });
    return { server, url: server.url };
  }
  if (backend === "mysql") {
    const server = await startMysql();
    return { server, url: server.url };
  }
  const { members } = await startEtcd();
  const server = members[0] as Service;
  return { server, url: `etcd://${server.host}:${server.port}` };
}
