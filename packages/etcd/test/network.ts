/**
 * A cluster whose members reach each other only through proxies, so that one of them can be cut off from the others while clients still
 * reach it. A member's peers dial it, and it dials them; both must be cut. Whatever etcd sends to its peers it sends through `HTTP_PROXY`,
 * unless they are on loopback: the members advertise addresses that are reserved for documentation, which lead nowhere else.
 */
import { createServer, request } from "node:http";
import { startProxy, type TcpProxy } from "@dlock-tooling/faults";
import { type EtcdCluster, startEtcd } from "@dlock-tooling/services";

export interface Network {
  readonly cluster: EtcdCluster;
  /** Cuts a member, by its place in the cluster, off from the others. Nobody is told, as with a cable that is pulled. */
  cutOff(member: number): void;
  /** Mends everything: what was cut off finds new connections. */
  heal(): void;
  stop(): Promise<void>;
}

export async function startNetwork(): Promise<Network> {
  const inward: TcpProxy[] = [];
  const outward: TcpProxy[] = [];
  const forwarder = createServer((incoming, outgoing) => {
    const target = inward[Number(new URL(incoming.url as string).hostname.split(".").at(-1))] as TcpProxy;
    const { method, headers, url } = incoming;
    const { pathname, search } = new URL(url as string);
    const onward = request({ host: target.host, port: target.port, method, headers, path: pathname + search });
    onward.on("response", (answer) => {
      outgoing.writeHead(answer.statusCode as number, answer.headers);
      // Streams of messages: their answers begin long before there is anything in them.
      outgoing.flushHeaders();
      answer.pipe(outgoing);
      answer.on("error", () => outgoing.destroy());
    });
    onward.on("error", () => outgoing.destroy());
    outgoing.on("close", () => onward.destroy());
    incoming.pipe(onward);
  });
  await new Promise<void>((resolve) => forwarder.listen(0, "127.0.0.1", resolve));
  const { port } = forwarder.address() as { port: number };
  const cluster = await startEtcd({
    members: 3,
    async peer(member, listening) {
      inward[member] = await startProxy(listening);
      outward[member] = await startProxy({ host: "127.0.0.1", port });
      const env = { HTTP_PROXY: `http://127.0.0.1:${outward[member].port}`, NO_PROXY: "", no_proxy: "" };
      return { url: `http://192.0.2.${member}:${listening.port}`, env };
    },
  });
  const all = () => [...inward, ...outward];
  return {
    cluster,
    cutOff(member) {
      inward[member]?.blackHole();
      outward[member]?.blackHole();
    },
    heal() {
      for (const proxy of all()) proxy.heal();
    },
    async stop() {
      await cluster.stop();
      await Promise.all(all().map((proxy) => proxy.close()));
      forwarder.closeAllConnections();
      await new Promise<void>((resolve) => forwarder.close(() => resolve()));
    },
  };
}
