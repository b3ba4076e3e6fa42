/** What is tortured: locks that belong to someone, reached through a proxy for each worker where that is possible. */
import { startProxy, type TcpProxy } from "@dlock-tooling/faults";
import { type Service, type SteppableClock, steppableClock } from "@dlock-tooling/services";
import type { FaultKind, TortureOptions } from "./options.js";

export interface Target {
  /** For people to read. */
  readonly name: string;
  /** The way around all faults of the network. */
  readonly url: string;
  /** Where each worker finds the locks. */
  readonly urls: readonly string[];
  /** Each worker's way to the server; empty where none is harmed. */
  readonly proxies: readonly TcpProxy[];
  /** The wall clock of each worker; empty where none is stepped. */
  readonly clocks: readonly SteppableClock[];
  /** Ours to harm. */
  readonly server?: Service;
  readonly serverClock?: SteppableClock;
  stop(): Promise<void>;
}

/** What may be done to locks at a URL that is not ours, without a harm to anyone else. */
export function faultsAt(url: string): readonly FaultKind[] {
  // Whoever kills the one process kills the locks with it.
  if (isInMemory(url)) return ["pause"];
  return addressOf(url) === undefined ? ["kill", "pause"] : ["kill", "pause", "partition"];
}

export function isInMemory(url: string): boolean {
  return url.startsWith("memory:");
}

export async function targetAt(url: string, { workers, faults }: Pick<TortureOptions, "workers" | "faults">): Promise<Target> {
  const address = addressOf(url);
  const places = Array.from({ length: workers });
  const proxied = faults.includes("partition") && address !== undefined;
  const proxies = proxied ? await Promise.all(places.map(() => startProxy(address))) : [];
  const clocks = faults.includes("clock") ? await clocksFor(workers, url) : [];
  return {
    name: url.slice(0, url.indexOf(":")),
    url,
    urls: places.map((_, place) => proxies[place]?.through(url) ?? url),
    proxies,
    clocks,
    async stop() {
      await Promise.all(proxies.map((proxy) => proxy.close()));
    },
  };
}

/** Who shares a file shares a machine, and so its clock. */
async function clocksFor(workers: number, url: string): Promise<SteppableClock[]> {
  if (!url.startsWith("sqlite:")) return Promise.all(Array.from({ length: workers }, steppableClock));
  return Array<SteppableClock>(workers).fill(await steppableClock());
}

const ports: Readonly<Record<string, number>> = { "redis:": 6_379, "mysql:": 3_306, "mariadb:": 3_306, "etcd:": 2_379 };
/** With these the client looks for its servers by itself, or checks their names. */
const beyondProxies = ["node", "sentinel", "cluster", "ssl", "tls"];

/** The one address behind a URL, where there is one that a proxy can stand before. */
function addressOf(url: string): { host: string; port: number } | undefined {
  const { protocol, hostname, port, searchParams } = new URL(url);
  const usual = ports[protocol];
  if (usual === undefined || beyondProxies.some((name) => searchParams.has(name))) return undefined;
  return { host: hostname.replace(/^\[|\]$/g, "") || "127.0.0.1", port: port === "" ? usual : Number(port) };
}
