// What a driver can be made of, and what it refuses to be made of.
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { freePort, startRedis } from "@dlock-tooling/services";
import { Redis } from "ioredis";
import { afterEach, describe, expect, it } from "vitest";
import { backend, redisDriver } from "../src/index.ts";
import { parseUrl } from "../src/options.ts";
import { groupCount, groupOf, slotOf } from "../src/protocol.ts";
import { call, grant } from "./claims.ts";

const closing: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

describe("a URL", () => {
  it("of a single server gives host, port, user, password and database", () => {
    expect(parseUrl("redis://me:p%40ss@example.org:6380/3?prefix=app:")).toEqual({
      connection: { host: "example.org", port: 6_380, username: "me", password: "p@ss", db: 3 },
      prefix: "app:",
    });
    expect(parseUrl("redis://[::1]")).toEqual({ connection: { host: "::1", port: 6_379, db: 0 } });
    expect(parseUrl("rediss://example.org")).toMatchObject({ connection: { tls: {} } });
  });

  it("of Sentinels names the master and further Sentinels", () => {
    expect(parseUrl("redis://:pw@s1?sentinel=main&node=s2:26380&node=s3&sentinelPassword=x")).toEqual({
      connection: {
        sentinels: [
          { host: "s1", port: 26_379 },
          { host: "s2", port: 26_380 },
          { host: "s3", port: 26_379 },
        ],
        name: "main",
        password: "pw",
        db: 0,
        sentinelPassword: "x",
      },
    });
  });

  it("of a Cluster names further nodes", () => {
    expect(parseUrl("rediss://me@c1:7000?cluster=true&node=[::1]:7001")).toEqual({
      cluster: {
        nodes: [
          { host: "c1", port: 7_000 },
          { host: "::1", port: 7_001 },
        ],
        options: { redisOptions: { username: "me", tls: {} } },
      },
    });
  });

  it.each([
    ["redis://h?prefx=a", /unknown parameter "prefx".*known are prefix/],
    ["redis://h/one", /number of a database, not "\/one"/],
    ["redis://h?cluster=yes", /"cluster" can only be true/],
    ["redis://h?node=a:1", /"node" needs "sentinel" or "cluster=true"/],
    ["redis://h/1?cluster=true", /neither Sentinels nor numbered databases/],
    ["redis://h?cluster=true&node=:1", /"node" is host:port, not ":1"/],
    ["http://h", /not a Redis URL/],
    ["redis://h?prefix={a}", /must not hold braces/],
  ])("%s is refused", (url, says) => {
    const make = () => backend.fromUrl(new URL(url));
    expect(make).toThrow(RangeError);
    expect(make).toThrow(says);
  });
});

it("exactly one of client, connection, cluster and url is needed", () => {
  expect(() => redisDriver({})).toThrow(TypeError);
  const withoutOptions = redisDriver as () => unknown;
  expect(withoutOptions).toThrow(TypeError);
  expect(withoutOptions).toThrow(/exactly one of client, connection, cluster and url/);
  expect(() => redisDriver({ connection: {}, url: "redis://h" })).toThrow(/exactly one of client, connection, cluster and url/);
});

it("the user's client is used with the prefix of the driver only, and is left open", async () => {
  const server = await startRedis();
  const client = new Redis(server.url, { keyPrefix: "mine:", lazyConnect: true, db: 2 });
  closing.push(
    () => server.stop(),
    () => client.disconnect(),
  );
  const driver = redisDriver({ client, prefix: "a:" });
  const other = redisDriver({ connection: { port: server.port, db: 2 }, prefix: "b:" });
  closing.push(() => other.close());
  await grant(driver, "job");
  await grant(other, "job");
  await driver.close();
  expect(client.status).toBe("ready");
  const [, names] = await client.scan(0);
  expect(names.filter((name) => name.endsWith("}job")).sort()).toEqual([
    expect.stringMatching(/^a:\{\d+\}job$/),
    expect.stringMatching(/^b:\{\d+\}job$/),
  ]);
  expect(await client.exists("user")).toBe(0);
  expect("dlock" in client).toBe(false);
});

it("a client that was closed says so", async () => {
  const client = new Redis({ lazyConnect: true });
  client.disconnect();
  await new Promise((resolve) => client.once("end", resolve));
  const driver = redisDriver({ client });
  await expect(grant(driver, "a")).rejects.toThrow(/client given to redisDriver is closed/);
  await driver.close();
});

it("TLS works by URL parameters of ioredis", async () => {
  const port = await freePort();
  const server = await startRedis();
  closing.push(() => server.stop());
  const [key, cert] = [join(server.folder, "key.pem"), join(server.folder, "cert.pem")];
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"];
  execFileSync(
    "openssl",
    ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert, ...subject],
    {
      stdio: "ignore",
    },
  );
  const admin = new Redis(server.url);
  closing.push(() => admin.disconnect());
  await admin.config("SET", "tls-cert-file", cert, "tls-key-file", key, "tls-auth-clients", "no", "tls-port", port);
  const ca = (await import("node:fs")).readFileSync(cert);
  const driver = redisDriver({ connection: { host: "127.0.0.1", port, tls: { ca } } });
  closing.push(() => driver.close());
  const token = await grant(driver, "a");
  expect(await driver.release([{ key: "a", owner: "me", token }], call)).toEqual([true]);
  const distrusting = redisDriver({ url: `rediss://127.0.0.1:${port}` });
  closing.push(() => distrusting.close());
  await expect(grant(distrusting, "a")).rejects.toThrow(/certificate/);
});

it("the protocol constants are what records of earlier versions were written with", () => {
  expect(groupCount).toBe(32);
  expect(["invoice:42", "a", "{a}", "é", "🔒"].map(groupOf)).toEqual([4, 12, 20, 4, 14]);
  // From the Redis Cluster specification: the slot of "123456789" is 0x31c3.
  expect(slotOf("123456789")).toBe(0x31c3 % 16_384);
});
