// The proxy against a server that answers every line with "echo:" and the line.
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startProxy, type TcpProxy } from "../src/index.ts";

let server: Server;
let proxy: TcpProxy;
let seen: string[];
const sockets: Socket[] = [];

beforeEach(async () => {
  // The sockets of the test before may still close: they write to the list of their own test.
  const lines: string[] = [];
  seen = lines;
  server = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", (data) => {
      for (const line of data.toString().split("\n").filter(Boolean)) {
        lines.push(line);
        socket.write(`echo:${line}\n`);
      }
    });
    socket.on("end", () => lines.push("END"));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  proxy = await startProxy({ host: "127.0.0.1", port: (server.address() as { port: number }).port });
});

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await proxy.close();
  server.close();
});

async function client() {
  const socket = connect(proxy.port, proxy.host);
  sockets.push(socket);
  const errors: Error[] = [];
  socket.on("error", (error) => errors.push(error));
  let received = "";
  socket.on("data", (data) => {
    received += data.toString();
  });
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  await once(socket, "connect");
  return {
    socket,
    closed,
    send: (line: string) => socket.write(`${line}\n`),
    get received() {
      return received;
    },
    async reply(line: string) {
      while (!received.includes(`echo:${line}\n`)) await once(socket, "data");
    },
  };
}

/** Waits until the server has seen a line. */
async function serverSees(line: string) {
  while (!seen.includes(line)) await sleep(2);
}

const is = (line: string) => (bytes: Buffer) => bytes.toString().includes(line);

describe("the proxy", () => {
  it("passes traffic both ways, in order", async () => {
    const a = await client();
    for (let i = 0; i < 100; i++) a.send(`line ${i}`);
    await a.reply("line 99");
    expect(a.received).toBe(Array.from({ length: 100 }, (_, i) => `echo:line ${i}\n`).join(""));
    expect(proxy.connections).toBe(1);
  });

  it("puts its own host and port into an address", () => {
    expect(proxy.through("redis://user:p%40ss@10.0.0.1:6379/0?a=b")).toBe(`redis://user:p%40ss@127.0.0.1:${proxy.port}/0?a=b`);
    expect(proxy.through("http://db:80")).toBe(`http://127.0.0.1:${proxy.port}`);
  });

  it("delays each way", async () => {
    const a = await client();
    proxy.delay(60);
    const start = performance.now();
    a.send("slow");
    await a.reply("slow");
    expect(performance.now() - start).toBeGreaterThanOrEqual(119);
  });

  it("cuts before the matching request, which the server never sees, and lets others pass", async () => {
    const a = await client();
    const b = await client();
    const cut = proxy.cutBefore(is("doomed"));
    b.send("harmless");
    await b.reply("harmless");
    a.send("doomed");
    await Promise.all([cut, a.closed]);
    b.send("later");
    await b.reply("later");
    expect(seen).not.toContain("doomed");
  });

  it("cuts after the matching request was delivered and before its reply", async () => {
    const a = await client();
    const cut = proxy.cutAfter(is("applied"));
    a.send("applied");
    await Promise.all([cut, a.closed]);
    expect(seen).toContain("applied");
    expect(a.received).toBe("");
    const b = await client();
    b.send("applied");
    await b.reply("applied");
  });

  it("holds requests in a black hole and delivers them, and the client's end, when it heals", async () => {
    const a = await client();
    a.send("before");
    await a.reply("before");
    proxy.blackHole("requests");
    a.send("held");
    a.socket.end();
    const fresh = connect(proxy.port, proxy.host);
    sockets.push(fresh);
    await once(fresh, "connect");
    fresh.write("fresh\n");
    await sleep(50);
    expect(seen).toEqual(["before"]);
    proxy.heal();
    await Promise.all([serverSees("held"), serverSees("END"), serverSees("fresh")]);
    expect(seen.indexOf("held")).toBeLessThan(seen.indexOf("END"));
  });

  it("delivers requests and holds replies in a black hole of replies", async () => {
    const a = await client();
    proxy.blackHole("replies");
    a.send("applied");
    await serverSees("applied");
    await sleep(20);
    expect(a.received).toBe("");
    proxy.heal();
    await a.reply("applied");
  });

  it("delivers what a client sent into a black hole before it destroyed its socket", async () => {
    const a = await client();
    proxy.blackHole();
    a.send("late");
    await sleep(20);
    a.socket.destroy();
    await a.closed;
    expect(seen).toEqual([]);
    proxy.heal();
    await serverSees("late");
  });

  it("drops what waits when it cuts", async () => {
    const a = await client();
    proxy.blackHole();
    a.send("dropped");
    await sleep(20);
    proxy.cut();
    await a.closed;
    proxy.heal();
    const b = await client();
    b.send("next");
    await b.reply("next");
    expect(seen).not.toContain("dropped");
  });

  it("refuses connections until it heals, and then sends them to another target if told to", async () => {
    const a = await client();
    proxy.refuse();
    await a.closed;
    const b = await client().catch(() => undefined);
    await b?.closed;
    const other = createServer((socket) => socket.end("other\n"));
    other.listen(0, "127.0.0.1");
    await once(other, "listening");
    proxy.heal();
    proxy.retarget({ host: "127.0.0.1", port: (other.address() as { port: number }).port });
    const c = await client();
    await c.closed;
    expect(c.received).toBe("other\n");
    other.close();
  });
});
