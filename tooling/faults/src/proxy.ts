/** A TCP proxy between a client and a real server that does to the traffic what networks do. */
import { connect, createServer, type Socket } from "node:net";

/** The bytes of one piece of traffic; a fault may wait for a piece that matches. */
export type Matcher = (bytes: Buffer) => boolean;

export interface TcpProxy {
  readonly host: string;
  readonly port: number;
  /** Connections that are open right now. */
  readonly connections: number;
  /** Bytes that clients have sent so far. */
  readonly requestBytes: number;
  /** `address` (such as `redis://:secret@127.0.0.1:6379/0`) with the proxy's host and port in place of the server's. */
  through(address: string): string;
  /** Every piece of traffic is delivered this many milliseconds later, each way. */
  delay(ms: number): void;
  /** Cuts the connection of the next matching request, which the server never sees. Resolves when that has happened. */
  cutBefore(match?: Matcher): Promise<void>;
  /**
   * Delivers the next matching request and cuts its connection when the server answers: the reply is lost. Resolves when that has happened.
   *
   * @param isReply tells the answer from what a protocol says in between; what is none passes. Default: the first that comes.
   */
  cutAfter(match?: Matcher, isReply?: Matcher): Promise<void>;
  /**
   * Nothing passes, and nobody is told: as in a network, what is sent meanwhile waits (a client that closes its socket included), and is
   * delivered when the network heals.
   */
  blackHole(way?: "requests" | "replies" | "both"): void;
  /** Ends delay and black hole and forgets the cuts that have not happened; what waited is delivered. */
  heal(): void;
  /** Cuts every connection, and drops what waits in them. New ones are accepted. */
  cut(): void;
  /** Cuts every connection and refuses new ones, like a host that is down. `heal` ends it. */
  refuse(): void;
  /** Sends traffic of new connections to another server. */
  retarget(target: { host: string; port: number }): void;
  close(): Promise<void>;
}

interface PendingCut {
  readonly match: Matcher;
  readonly when: "before" | "after";
  readonly isReply: Matcher;
  readonly done: () => void;
}

interface Link {
  readonly client: Socket;
  readonly server: Socket;
  readonly requests: Way;
  readonly replies: Way;
}

export async function startProxy(target: { host: string; port: number }): Promise<TcpProxy> {
  let goal = { host: target.host, port: target.port };
  let delayMs = 0;
  let holed: "requests" | "replies" | "both" | undefined;
  let refusing = false;
  let requestBytes = 0;
  let cuts: PendingCut[] = [];
  const links = new Set<Link>();

  const isHeld = (way: "requests" | "replies") => holed === "both" || holed === way;
  const drop = (link: Link) => {
    links.delete(link);
    link.requests.drop();
    link.replies.drop();
    link.client.destroy();
    link.server.destroy();
  };
  const take = (when: "before" | "after", bytes: Buffer): PendingCut | undefined => {
    const found = cuts.find((cut) => cut.when === when && cut.match(bytes));
    cuts = cuts.filter((cut) => cut !== found);
    return found;
  };

  const listener = createServer({ allowHalfOpen: true }, (client) => {
    if (refusing) {
      client.resetAndDestroy();
      return;
    }
    const server = connect({ ...goal, allowHalfOpen: true });
    client.setNoDelay(true);
    server.setNoDelay(true);
    const link: Link = {
      client,
      server,
      requests: new Way(server, () => isHeld("requests")),
      replies: new Way(client, () => isHeld("replies")),
    };
    let cutAtReply: PendingCut | undefined;
    links.add(link);
    client.on("data", (bytes: Buffer) => {
      requestBytes += bytes.length;
      const before = take("before", bytes);
      if (before !== undefined) {
        drop(link);
        before.done();
        return;
      }
      cutAtReply ??= take("after", bytes);
      link.requests.pass(bytes, delayMs);
    });
    server.on("data", (bytes: Buffer) => {
      if (cutAtReply?.isReply(bytes)) {
        drop(link);
        cutAtReply.done();
        return;
      }
      link.replies.pass(bytes, delayMs);
    });
    client.on("end", () => link.requests.pass(undefined, delayMs));
    server.on("end", () => link.replies.pass(undefined, delayMs));
    // A broken connection on one side is a closed one on the other, in its turn.
    client.on("error", () => link.requests.pass(undefined, delayMs));
    server.on("error", () => {
      link.replies.pass(undefined, delayMs);
      link.requests.drop();
    });
    const forget = () => {
      if (client.closed && server.closed) links.delete(link);
    };
    client.on("close", forget);
    server.on("close", forget);
  });
  await new Promise<void>((resolve, reject) => {
    listener.once("error", reject);
    listener.listen(0, "127.0.0.1", () => resolve());
  });
  const address = listener.address();
  if (address === null || typeof address === "string") throw new Error("the proxy has no port");
  const { port } = address;

  const anything: Matcher = () => true;
  const cutOnce = (when: "before" | "after", match = anything, isReply = anything) =>
    new Promise<void>((done) => {
      cuts.push({ match, when, isReply, done });
    });
  const cut = () => {
    for (const link of [...links]) drop(link);
  };
  return {
    host: "127.0.0.1",
    port,
    get connections() {
      return links.size;
    },
    get requestBytes() {
      return requestBytes;
    },
    through(address) {
      // URL cannot change the host of every scheme, so the authority is replaced by hand.
      return address.replace(/^([a-z+]+:\/\/(?:[^@/]*@)?)[^/?#]*/, `$1127.0.0.1:${port}`);
    },
    delay(ms) {
      delayMs = ms;
    },
    cutBefore: (match) => cutOnce("before", match),
    cutAfter: (match, isReply) => cutOnce("after", match, isReply),
    blackHole(way = "both") {
      holed = way;
    },
    heal() {
      holed = undefined;
      delayMs = 0;
      refusing = false;
      cuts = [];
      for (const link of links) {
        link.requests.flush();
        link.replies.flush();
      }
    },
    cut,
    refuse() {
      refusing = true;
      cut();
    },
    retarget(next) {
      goal = { host: next.host, port: next.port };
    },
    async close() {
      refusing = true;
      cut();
      await new Promise<void>((resolve) => listener.close(() => resolve()));
    },
  };
}

/** One direction of one connection: pieces in order, the end (undefined) among them, each due at its time. */
class Way {
  #waiting: { bytes: Buffer | undefined; due: number }[] = [];
  #timer: NodeJS.Timeout | undefined;
  #ended = false;
  readonly #to: Socket;
  readonly #isHeld: () => boolean;

  constructor(to: Socket, isHeld: () => boolean) {
    this.#to = to;
    this.#isHeld = isHeld;
  }

  pass(bytes: Buffer | undefined, delayMs: number): void {
    if (this.#ended) return;
    this.#ended = bytes === undefined;
    this.#waiting.push({ bytes, due: performance.now() + delayMs });
    this.flush();
  }

  flush(): void {
    clearTimeout(this.#timer);
    while (!this.#isHeld()) {
      const next = this.#waiting[0];
      if (next === undefined) return;
      const earlyMs = next.due - performance.now();
      if (earlyMs > 0) {
        this.#timer = setTimeout(() => this.flush(), earlyMs);
        return;
      }
      this.#waiting.shift();
      if (next.bytes === undefined) this.#to.end();
      else if (!this.#to.destroyed) this.#to.write(next.bytes);
    }
  }

  drop(): void {
    clearTimeout(this.#timer);
    this.#waiting = [];
    this.#ended = true;
  }
}
