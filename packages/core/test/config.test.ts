/** Providers from a configuration or the environment: what is made, every mistake with its message, and secrets that stay secret. */
import { inspect } from "node:util";
import { afterEach, describe, expect, test, vi } from "vitest";
import {
  type BackendSection,
  checkSection,
  createLockManagerFromConfig,
  createLockProviderFromConfig,
  createLockProviderFromEnv,
  createLockProviderFromUrl,
  defaultLockConfig,
  driverError,
  type LockConfig,
  type LockDriver,
  registerBackend,
} from "../src/index.ts";
import { errorOf } from "./support/scenario.ts";
import { ScriptedDriver } from "./support/scripted-driver.ts";
import { VirtualClock } from "./support/virtual-clock.ts";

/** What the backends of this file were asked to open, and whether it was closed. */
const opened: { name: string; section: BackendSection; driver: LockDriver; closed: boolean }[] = [];
let ping: () => Promise<void> = async () => {};

function open(name: string, section: BackendSection): LockDriver {
  const driver = new ScriptedDriver(new VirtualClock());
  const entry = { name, section, driver: driver as LockDriver, closed: false };
  opened.push(entry);
  driver.ping = () => ping();
  driver.close = async () => {
    entry.closed = true;
  };
  return driver;
}

// As a backend with a client and a table does it.
registerBackend("redis", {
  fromUrl: (url) => open("redis", { url }),
  fromConfig(section, path) {
    const shape = { url: "object", connection: "object", prefix: "string", onWarning: "function" } as const;
    checkSection(path, section, shape, ["url", "connection"]);
    if (section.prefix === "{}") throw new RangeError("prefix must not hold braces");
    return open("redis", section);
  },
});
// One that takes whatever it is given.
registerBackend("mysql", {
  fromUrl: (url) => open("mysql", { url }),
  fromConfig: (section, path) => {
    checkSection(path, section, { url: "object", table: "string", createTable: "boolean", poolSize: "number", nodes: "objects" }, ["url"]);
    return open("mysql", section);
  },
});
// One that knows URLs only.
registerBackend("acme", {
  fromUrl(url) {
    const [parameter] = url.searchParams.keys();
    if (parameter !== undefined) throw new RangeError(`unknown parameter "${parameter}"`);
    return open("acme", { url });
  },
});

afterEach(() => {
  opened.length = 0;
  ping = async () => {};
  vi.unstubAllEnvs();
});

const asConfig = (config: unknown) => config as LockConfig;

describe("a provider from a config", () => {
  test("has the section of the chosen backend, without what is undefined, and the client's own options as they are", async () => {
    const connection = { host: "localhost", password: "hunter2", maxRetriesPerRequest: 5 };
    const locks = await createLockProviderFromConfig({ provider: "redis", redis: { connection, prefix: undefined }, mysql: {} });
    expect(opened).toHaveLength(1);
    expect(opened[0]?.section).toEqual({ connection });
    expect(opened[0]?.section.connection).toBe(connection);
    await locks.close();
    expect(opened[0]?.closed).toBe(true);
  });

  test("takes the defaults of acquisitions from the config, in ms or as people write them", async () => {
    const driver = new ScriptedDriver(new VirtualClock());
    registerBackend("defaults", { fromUrl: () => driver });
    const locks = await createLockProviderFromConfig(
      asConfig({ provider: "defaults", defaults: { url: "defaults:" }, defaultTtlMs: "45s", defaultRetryCount: 0, defaultRetryDelayMs: 5 }),
    );
    await locks.tryLock("key");
    expect(driver.calls.find(({ operation }) => operation === "acquire")?.claims[0]?.ttlMs).toBe(45_000);
    await locks.close();
  });

  test.each([
    ["the URL's parameters before the config's defaults", "45s", {}, 20_000],
    ["and the options of the call before both", "45s", { ttlMs: 15_000 }, 15_000],
  ])("takes %s", async (_, defaultTtlMs, options, ttlMs) => {
    const driver = new ScriptedDriver(new VirtualClock());
    registerBackend("order", { fromUrl: () => driver });
    const locks = await createLockProviderFromConfig(
      asConfig({ provider: "order", order: { url: "order:?ttl=20s" }, defaultTtlMs }),
      options,
    );
    await locks.tryLock("key");
    expect(driver.calls.find(({ operation }) => operation === "acquire")?.claims[0]?.ttlMs).toBe(ttlMs);
    await locks.close();
  });

  test("is not given, and what was opened is closed, when the backend does not answer at the start", async () => {
    ping = () => Promise.reject(driverError("the server is read-only", { applied: "no", retryable: false }));
    const error = await errorOf(createLockProviderFromConfig({ provider: "redis", redis: { url: "redis://localhost" } }));
    expect(error).toMatchObject({ code: "DLOCK_BACKEND", message: expect.stringContaining("the server is read-only") });
    expect(opened.map(({ closed }) => closed)).toEqual([true]);
  });

  test("is not given, and what was opened is closed, when an option of the provider is wrong", async () => {
    await expect(createLockProviderFromConfig({ provider: "acme", acme: { url: "acme:" } } as LockConfig, { ttlMs: 1 })).rejects.toThrow(
      RangeError,
    );
    expect(opened.map(({ closed }) => closed)).toEqual([true]);
  });

  test.each(["acme:C:/me@work/dlock.db", "acme:./me@work.db", "acme://me:x%40y@host/db"])(
    "takes a URL with an @ in its place: %s",
    async (url) => {
      await (await createLockProviderFromConfig(asConfig(acme({ url })))).close();
      expect(String(opened[0]?.section.url)).toBe(String(new URL(url)));
    },
  );

  test("takes the spelling of a URL that asks for TLS", async () => {
    await (await createLockProviderFromConfig(asConfig(redis({ url: "rediss://localhost" })))).close();
    expect(opened[0]?.section.url).toEqual(new URL("rediss://localhost"));
  });

  test("comes from the URL in DLOCK_URL", async () => {
    vi.stubEnv("DLOCK_URL", "acme://localhost/?wait=2s");
    const locks = await createLockProviderFromEnv();
    expect(opened.map(({ name, section }) => [name, String(section.url)])).toEqual([["acme", "acme://localhost/"]]);
    await locks.close();
  });

  test("is the seed's by default: MySQL, 5 minutes, 3 retries 1 second apart, the table distributed_locks", async () => {
    const config = defaultLockConfig();
    expect(config).toEqual({
      provider: "mysql",
      mysql: { table: "distributed_locks" },
      defaultTtlMs: 300_000,
      defaultRetryCount: 3,
      defaultRetryDelayMs: 1_000,
    });
    config.mysql.url = "mysql://localhost/app";
    const locks = await createLockProviderFromConfig(config);
    expect(opened[0]?.section).toEqual({ url: new URL("mysql://localhost/app"), table: "distributed_locks" });
    await locks.close();
  });
});

const sections = "mysql, redis, etcd, sqlite, memory";
const redis = (section: unknown) => ({ provider: "redis", redis: section });
const mysql = (section: unknown) => ({ provider: "mysql", mysql: section });
const acme = (section: unknown) => ({ provider: "acme", acme: section });
const good = { provider: "redis", redis: { url: "redis://localhost" } };
const urlAdvice = "in a password write / ? # @ as %2F %3F %23 %40";
const urlForm = `must be a URL that starts with the name of a backend, such as sqlite:./dlock.db or redis://localhost:6379; ${urlAdvice}`;
const duration = 'must be a duration from 0 to 24d such as "500ms", "30s" or "5m"';

/** What is wrong, and the whole message. */
const mistakes: readonly (readonly [unknown, string])[] = [
  [undefined, "config must be a LockConfig, an object, got undefined"],
  [null, "config must be a LockConfig, an object, got null"],
  ["redis://u:hunter2@localhost", "config must be a LockConfig, an object, got a string"],
  [[good], "config must be a LockConfig, an object, got an array"],
  [new URL("redis://u:hunter2@localhost"), "config must be a LockConfig, an object, got an object"],
  [{}, `config.provider must be the name of a backend, such as ${sections}, got undefined`],
  [{ ...good, provider: 5 }, `config.provider must be the name of a backend, such as ${sections}, got a number`],
  [{ ...good, provider: null }, `config.provider must be the name of a backend, such as ${sections}, got null`],
  [{ ...good, provider: "" }, `config.provider must be the name of a backend, such as ${sections}, got a string`],
  [{ ...good, provider: "Redis" }, `config.provider must be the name of a backend, such as ${sections}, got a string`],
  [{ ...good, provider: "../redis" }, `config.provider must be the name of a backend, such as ${sections}, got a string`],
  [{ ...good, provider: "__proto__" }, `config.provider must be the name of a backend, such as ${sections}, got a string`],
  [
    { provider: "reddis" },
    'the backend "reddis" is not registered and @dlock/reddis is not installed: npm install @dlock/reddis, unless it is one of dlock\'s own: mysql, redis, etcd, sqlite, memory',
  ],
  [
    { provider: "constructor" },
    'the backend "constructor" is not registered and @dlock/constructor is not installed: npm install @dlock/constructor, unless it is one of dlock\'s own: mysql, redis, etcd, sqlite, memory',
  ],
  [
    { ...good, ttlMs: 5 },
    `config.ttlMs is unknown: config takes provider, defaultTtlMs, defaultRetryCount, defaultRetryDelayMs and the sections ${sections}`,
  ],
  [
    { ...good, reddis: {} },
    `config.reddis is unknown: config takes provider, defaultTtlMs, defaultRetryCount, defaultRetryDelayMs and the sections ${sections}`,
  ],
  [
    { ...good, url: "redis://u:hunter2@localhost" },
    `config.url is unknown: config takes provider, defaultTtlMs, defaultRetryCount, defaultRetryDelayMs and the sections ${sections}`,
  ],
  [{ ...good, defaultTtlMs: "5 min" }, `config.defaultTtlMs ${duration}, got "5 min"`],
  [{ ...good, defaultTtlMs: true }, 'config.defaultTtlMs must be a duration such as "30s", got true'],
  [{ ...good, defaultTtlMs: -1 }, `config.defaultTtlMs ${duration}, got -1`],
  [{ ...good, defaultTtlMs: Number.NaN }, `config.defaultTtlMs ${duration}, got NaN`],
  [{ ...good, defaultTtlMs: "25d" }, `config.defaultTtlMs ${duration}, got "25d"`],
  [{ ...good, defaultTtlMs: 9 }, "config.defaultTtlMs must be a number from 10 to 2147483647, got 9"],
  [{ ...good, defaultTtlMs: null }, 'config.defaultTtlMs must be a duration such as "30s", got null'],
  [{ ...good, defaultRetryCount: "3" }, "config.defaultRetryCount must be a number from 0 to 2147483647, got a value of type string"],
  [{ ...good, defaultRetryCount: -1 }, "config.defaultRetryCount must be a number from 0 to 2147483647, got -1"],
  [{ ...good, defaultRetryCount: 2.5 }, "config.defaultRetryCount must be a whole number from 0 to 2147483647, got 2.5"],
  [
    { ...good, defaultRetryCount: Number.POSITIVE_INFINITY },
    "config.defaultRetryCount must be a number from 0 to 2147483647, got Infinity",
  ],
  [{ ...good, defaultRetryDelayMs: 5 }, "config.defaultRetryDelayMs needs config.defaultRetryCount"],
  [{ ...good, defaultRetryCount: 1, defaultRetryDelayMs: "soon" }, `config.defaultRetryDelayMs ${duration}, got "soon"`],
  [{ ...good, mysql: "mysql://u:hunter2@localhost" }, "config.mysql must be the section of a backend, an object, got a string"],
  [redis("redis://u:hunter2@localhost"), "config.redis must be the section of a backend, an object, got a string"],
  [redis(null), "config.redis must be the section of a backend, an object, got null"],
  [redis([]), "config.redis must be the section of a backend, an object, got an array"],
  [redis(new URL("redis://u:hunter2@localhost")), "config.redis must be the section of a backend, an object, got an object"],
  [redis(undefined), "config.redis.url is missing: config.redis needs one of url, connection"],
  [redis({}), "config.redis.url is missing: config.redis needs one of url, connection"],
  [redis({ url: undefined }), "config.redis.url is missing: config.redis needs one of url, connection"],
  [redis({ url: "redis://h", connection: {} }), "config.redis.url and config.redis.connection exclude each other: give one of them"],
  [redis({ url: 6379 }), "config.redis.url must be a string or a URL, got 6379"],
  [redis({ url: "" }), `config.redis.url ${urlForm}`],
  [redis({ url: "localhost" }), `config.redis.url ${urlForm}`],
  [redis({ url: "redis://u:hunter2@localhost:port" }), `config.redis.url ${urlForm}`],
  [redis({ url: "redis://u:hunt/er2@localhost" }), `config.redis.url ${urlForm}`],
  [redis({ url: "redis://u:12/hunter2@localhost" }), `config.redis.url has an "@" after its host: ${urlAdvice}, elsewhere @ as %40`],
  [redis({ url: "redis://u:12?hunter2@localhost" }), `config.redis.url has an "@" after its host: ${urlAdvice}, elsewhere @ as %40`],
  [redis({ url: "redis://u:12#hunter2@localhost" }), `config.redis.url has an "@" after its host: ${urlAdvice}, elsewhere @ as %40`],
  [redis({ url: "redis:u:hunter2@localhost" }), "config.redis.url has a user and no host: it starts with redis://"],
  [redis({ url: "redis::hunter2@localhost" }), "config.redis.url has a user and no host: it starts with redis://"],
  [redis({ url: "mysql://u:hunter2@localhost" }), "config.redis.url must be a URL of redis, got one that starts with mysql:"],
  [redis({ url: "redis://h?ttl=soon" }), `the parameter ttl of config.redis.url ${duration}, got "soon"`],
  [redis({ url: "redis://h?wait=-1s" }), `the parameter wait of config.redis.url ${duration}, got "-1s"`],
  [redis({ connection: "u:hunter2@localhost" }), "config.redis.connection must be an object, got a string"],
  [redis({ connection: ["hunter2"] }), "config.redis.connection must be an object, got an array"],
  [redis({ connection: null }), "config.redis.connection must be an object, got null"],
  [redis({ connection: {}, prefix: 12345678 }), "config.redis.prefix must be a string, got a number"],
  [redis({ connection: {}, prefix: "{}" }), "config.redis: prefix must not hold braces"],
  [redis({ connection: {}, onWarning: "log" }), "config.redis.onWarning must be a function, got a string"],
  [
    redis({ connection: {}, password: "hunter2" }),
    "config.redis.password is unknown: config.redis takes url, connection, prefix, onWarning",
  ],
  [
    redis({ connection: {}, toString: "hunter2" }),
    "config.redis.toString is unknown: config.redis takes url, connection, prefix, onWarning",
  ],
  [defaultLockConfig(), "config.mysql.url is missing: config.mysql needs it"],
  [mysql({ url: "mysql://h", createTable: "yes" }), "config.mysql.createTable must be true or false, got a string"],
  [mysql({ url: "mysql://h", poolSize: "10" }), "config.mysql.poolSize must be a number, got a string"],
  [
    mysql({ url: "mysql://h", tabel: "locks" }),
    "config.mysql.tabel is unknown: config.mysql takes url, table, createTable, poolSize, nodes",
  ],
  [mysql({ url: "mysql://h", nodes: ["hunter2"] }), "config.mysql.nodes must be an object or an array of them, got an array"],
  [acme({}), "config.acme.url is missing: config.acme needs it"],
  [acme({ url: "acme:", table: "locks" }), "config.acme.table is unknown: config.acme takes url"],
  [acme({ url: "acme:?colour=red" }), 'config.acme: unknown parameter "colour"'],
];

describe("a config with a mistake", () => {
  test.each(mistakes.map(([config, message]) => ({ config, message })))("is refused: $message", async ({ config, message }) => {
    const error = (await errorOf(createLockProviderFromConfig(asConfig(config)))) as Error;
    expect(error.message).toBe(message);
    expect(error instanceof TypeError || error instanceof RangeError || error.name === "BackendNotInstalledError").toBe(true);
    expect(inspect(error, { depth: null, showHidden: true })).not.toContain("hunter2");
    expect(opened).toEqual([]);
  });

  test("names where it stands among many", async () => {
    const configs = { orders: good, cache: redis({ conection: {} }) } as unknown as Record<string, LockConfig>;
    await expect(createLockManagerFromConfig(configs)).rejects.toThrow(
      "config.cache.redis.conection is unknown: config.cache.redis takes url, connection, prefix, onWarning",
    );
    await expect(createLockManagerFromConfig({ cache: "nowhere" })).rejects.toThrow(`config.cache ${urlForm}`);
    await expect(createLockManagerFromConfig([] as never)).rejects.toThrow("config must be an object of LockConfigs or URLs by name");
    expect(opened.every(({ closed }) => closed)).toBe(true);
  });

  test.each([
    [undefined, "DLOCK_URL is not set: it takes a URL such as sqlite:./dlock.db or redis://localhost:6379?ttl=30s"],
    ["", "DLOCK_URL is not set: it takes a URL such as sqlite:./dlock.db or redis://localhost:6379?ttl=30s"],
    [
      "u:hunter2@localhost:x",
      'the backend "u" is not registered and @dlock/u is not installed: npm install @dlock/u, unless it is one of dlock\'s own: mysql, redis, etcd, sqlite, memory',
    ],
    ["acme:u:hunter2@localhost", "DLOCK_URL has a user and no host: it starts with acme://"],
    ["//u:hunter2@localhost", `DLOCK_URL ${urlForm}`],
    ["acme:?colour=red", 'DLOCK_URL: unknown parameter "colour"'],
    ["acme:?ttl=soon", `the parameter ttl of DLOCK_URL ${duration}, got "soon"`],
  ])("is refused in the environment too: %s", async (url, message) => {
    vi.stubEnv("DLOCK_URL", url);
    const error = (await errorOf(createLockProviderFromEnv())) as Error;
    expect(error.message).toBe(message);
    expect(inspect(error, { depth: null, showHidden: true })).not.toContain("hunter2");
  });
});

describe("a secret in a config", () => {
  const url = "redis://admin:hunter2@localhost:6379?ttl=30s";

  test("appears in no error, log or event of a provider that works or fails", async () => {
    const seen: unknown[] = [];
    const log = (fields: unknown, message: unknown) => seen.push(fields, message);
    const logger = { debug: log, info: log, warn: log, error: log };
    for (const config of [redis({ url }), redis({ connection: { password: "hunter2" } })]) {
      const locks = await createLockProviderFromConfig(asConfig(config), { logger });
      for (const name of ["acquired", "released", "contended", "timeout", "error"] as const) locks.on(name, (event) => seen.push(event));
      await locks.withLock("key", async () => seen.push(await errorOf(locks.lock("key", { waitMs: 0 }))));
      ping = () => Promise.reject(driverError("gone", { applied: "no", retryable: true }));
      seen.push(await errorOf(locks.ping()), await errorOf(createLockProviderFromConfig(asConfig(config), { logger })));
      ping = async () => {};
      await locks.close();
    }
    expect(seen.length).toBeGreaterThan(8);
    expect(inspect(seen, { depth: null, showHidden: true })).not.toContain("hunter2");
  });

  test.each([
    "redis://admin:hunter2@localhost:port",
    "redis://admin:1/hunter2@localhost",
    "redis://admin:1?hunter2@localhost",
    "nowhere://admin:hunter2@localhost",
  ])("appears in no error about the URL %#", async (bad) => {
    const error = await errorOf(createLockProviderFromUrl(bad));
    expect(inspect(error, { depth: null, showHidden: true })).not.toContain("hunter2");
  });
});
