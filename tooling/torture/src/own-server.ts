/** Servers of our own, which may be harmed in every way. */
import { fakeTimeLibrary, type Service, startEtcd, startMysql, startRedis, steppableClock } from "@dlock-tooling/services";
import { type FaultKind, faultKinds, type TortureOptions } from "./options.js";
import { type Target, targetAt } from "./target.js";

export const backends = ["redis", "mysql", "etcd"] as const;
export type BackendName = (typeof backends)[number];

export function faultsOnOwn(backend: BackendName): readonly FaultKind[] {
  const clocks: readonly FaultKind[] = fakeTimeLibrary() !== undefined ? ["clock", "server-clock"] : [];
  const all = faultKinds.filter((kind) => !["clock", "server-clock"].includes(kind) || clocks.includes(kind));
  // etcd is written in Go, and goes by a monotonic clock anyway.
  return backend === "etcd" ? all.filter((kind) => kind !== "server-clock") : all;
}

/** Starts a server that forgets nothing when it is killed: a server that may forget would have to be forgiven overlaps. */
export async function startTarget(backend: BackendName, options: Pick<TortureOptions, "workers" | "faults">): Promise<Target> {
  const serverClock = options.faults.includes("server-clock") ? await steppableClock() : undefined;
  const { server, url } = await startServer(backend, serverClock?.env ?? {});
  const target = await targetAt(url, options);
  return {
    ...target,
    name: backend,
    server,
    ...(serverClock === undefined ? {} : { serverClock }),
    async stop() {
      await target.stop();
      await server.stop();
    },
  };
}

async function startServer(backend: BackendName, env: Readonly<Record<string, string>>): Promise<{ server: Service; url: string }> {
  if (backend === "redis") {
    const server = await startRedis({ config: { appendonly: "yes", appendfsync: "always" }, env });
    return { server, url: server.url };
  }
  if (backend === "mysql") {
    const server = await startMysql({ env });
    return { server, url: server.url };
  }
  const { members } = await startEtcd();
  const server = members[0] as Service;
  return { server, url: `etcd://${server.host}:${server.port}` };
}
