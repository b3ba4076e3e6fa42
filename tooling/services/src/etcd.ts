/** etcd servers: one, or a cluster of three. */
import { join } from "node:path";
import { freePort, loopback } from "./ports.js";
import { type Service, startService, temporaryFolder } from "./service.js";

export interface EtcdCluster {
  /** The addresses of all members, joined with commas. */
  readonly url: string;
  readonly hosts: readonly string[];
  readonly members: readonly Service[];
  /** Ends all members and removes their data. */
  stop(): Promise<void>;
}

/**
 * Starts etcd.
 *
 * @param options.members 1 (default) or 3.
 * @param options.args further options of every member.
 * @param options.env further environment variables of every member.
 * @param options.peer how the other members reach this one, which listens there, and what its environment needs for that.
 */
export async function startEtcd(
  options: {
    members?: 1 | 3;
    args?: readonly string[];
    env?: Readonly<Record<string, string>>;
    peer?: (member: number, listening: { host: string; port: number }) => Promise<{ url: string; env?: Readonly<Record<string, string>> }>;
  } = {},
): Promise<EtcdCluster> {
  const plans: { name: string; folder: string; client: number; peer: number; advertised: string; env: Record<string, string> }[] = [];
  for (let index = 0; index < (options.members ?? 1); index++) {
    const peer = await freePort();
    const { url, env } = (await options.peer?.(index, { host: loopback, port: peer })) ?? { url: `http://${loopback}:${peer}` };
    plans.push({
      name: `m${index}`,
      folder: await temporaryFolder("etcd"),
      client: await freePort(),
      peer,
      advertised: url,
      env: { ...options.env, ...env },
    });
  }
  const initial = plans.map(({ name, advertised }) => `${name}=${advertised}`).join(",");
  // All at once: the first member answers only when there is a majority.
  const members = await Promise.all(
    plans.map(({ name, folder, client, peer, advertised, env }) => {
      const url = `http://${loopback}:${client}`;
      return startService({
        program: "etcd",
        url,
        port: client,
        folder,
        args: [
          ["--name", name],
          ["--data-dir", join(folder, "data")],
          ["--listen-client-urls", url],
          ["--advertise-client-urls", url],
          ["--listen-peer-urls", `http://${loopback}:${peer}`],
          ["--initial-advertise-peer-urls", advertised],
          ["--initial-cluster", initial],
          ["--initial-cluster-token", `dlock-${plans[0]?.peer}`],
          ["--logger", "zap"],
          options.args ?? [],
        ].flat(),
        env,
        ready: async () => {
          const response = await fetch(`${url}/health`, { signal: AbortSignal.timeout(1_000) });
          return ((await response.json()) as { health?: string }).health === "true";
        },
      });
    }),
  );
  const hosts = members.map(({ url }) => url);
  return {
    url: hosts.join(","),
    hosts,
    members,
    async stop() {
      await Promise.all(members.map((member) => member.stop()));
    },
  };
}
