/** Locks from a configuration: a plain object (as from a JSON or YAML file) or the environment, checked before anything is opened. */
import type { LockDriver } from "./driver.js";
import { parseDuration } from "./duration.js";
import { checkNumber, longestMs, type ProviderOptions } from "./options.js";
import type { LockProvider } from "./provider.js";
import { type Backend, type BackendSection, backendNames, findBackend, isRegistered, parseBackendUrl, provideOver } from "./registry.js";

/**
 * Which backend, its section, and the defaults of acquisitions. Sections of backends that are not chosen may be there too, so that switching is
 * one word. A backend of your own declares its section by adding to this interface (`declare module "@dlock/core"`).
 */
export interface LockConfig {
  /** The name of a backend: one of these, or one that was registered. */
  provider: "mysql" | "redis" | "etcd" | "sqlite" | "memory" | (string & {});
  /** The sections: what each backend takes, its client's own options among it as they are, or a `url` as for `createLockProviderFromUrl`. */
  mysql?: object;
  redis?: object;
  etcd?: object;
  sqlite?: object;
  memory?: object;
  /** Effect: the provider's `ttlMs`. Unit: ms, or `"30s"`, `"5m"`. Range: 10 to 2^31 − 1. @default 30,000 */
  defaultTtlMs?: number | string;
  /** Effect: the provider's `retryCount`: so many retries after the first attempt. Range: 0 to 2^31 − 1. @default waiting for 10 s instead */
  defaultRetryCount?: number;
  /** Effect: the time between those retries. Unit: ms, or `"1s"`. Range: 0 to 2^31 − 1; needs `defaultRetryCount`. @default 1,000 */
  defaultRetryDelayMs?: number | string;
}

/** MySQL with the table `distributed_locks`, leases of 5 minutes, 3 retries 1 second apart. What is missing is where the server is. */
export function defaultLockConfig(): LockConfig & { mysql: BackendSection } {
  return {
    provider: "mysql",
    mysql: { table: "distributed_locks" },
    defaultTtlMs: 300_000,
    defaultRetryCount: 3,
    defaultRetryDelayMs: 1_000,
  };
}

/**
 * Makes a provider and proves that its backend is there and takes writes. When anything fails, what was opened is closed again.
 *
 * @param options of the provider; they go before those of the config.
 * @throws TypeError or RangeError that names the option by its path (`config.redis.url`) and what is accepted, never its value where that could
 * be a secret; BackendNotInstalledError when the package is not there; LockBackendError when the backend does not answer or refuses.
 */
export function createLockProviderFromConfig(config: LockConfig, options: ProviderOptions = {}): Promise<LockProvider> {
  return provideFromConfig("config", config, options);
}

/**
 * As `createLockProviderFromConfig`, from the URL in the environment variable `DLOCK_URL`.
 *
 * @throws as that, with `DLOCK_URL` for the path.
 */
export async function createLockProviderFromEnv(options: ProviderOptions = {}): Promise<LockProvider> {
  const { DLOCK_URL: url } = process.env;
  if (url === undefined || url === "")
    throw new TypeError("DLOCK_URL is not set: it takes a URL such as sqlite:./dlock.db or redis://localhost:6379?ttl=30s");
  return provideFromUrl("DLOCK_URL", url, options);
}

/** @param path how the config is named in errors. */
export async function provideFromConfig(path: string, config: LockConfig, options: ProviderOptions): Promise<LockProvider> {
  checkIsObject(path, config, "a LockConfig");
  const { provider: name } = config;
  if (typeof name !== "string" || !/^[a-z][a-z0-9+.-]*$/.test(name))
    throw new TypeError(`${path}.provider must be the name of a backend, such as ${listed(backendNames)}, got ${kindOf(name)}`);
  checkNames(path, config, name);
  const defaults = readDefaults(path, config);
  const backend = await findBackend(name);
  const { section, fromUrl } = readSection(
    `${path}.${name}`,
    name,
    Object.hasOwn(config, name) ? (config[name as "redis"] as BackendSection | undefined) : undefined,
  );
  const driver = await named(`${path}.${name}`, () => driverFrom(backend, section, `${path}.${name}`));
  return proved(await provideOver(driver, { ...defaults, ...fromUrl, ...options }));
}

/** @param what how the URL is named in errors. */
export async function provideFromUrl(what: string, url: string | URL, options: ProviderOptions): Promise<LockProvider> {
  const { parsed, name, fromUrl } = parseBackendUrl(what, url);
  const backend = await findBackend(name);
  const driver = await named(what, () => backend.fromUrl(parsed));
  return proved(await provideOver(driver, { ...fromUrl, ...options }));
}

const isObject = (value: unknown) => typeof value === "object" && value !== null && !Array.isArray(value);

/** What each word of a {@link SectionShape} stands for. Of a `url`, an object here, core has seen to it already. */
const kinds = {
  string: { name: "a string", holds: (value: unknown) => typeof value === "string" },
  number: { name: "a number", holds: (value: unknown) => typeof value === "number" },
  boolean: { name: "true or false", holds: (value: unknown) => typeof value === "boolean" },
  function: { name: "a function", holds: (value: unknown) => typeof value === "function" },
  object: { name: "an object", holds: isObject },
  objects: {
    name: "an object or an array of them",
    holds: (value: unknown) => (Array.isArray(value) ? value.every(isObject) : isObject(value)),
  },
} as const;

/** The options of a section, and what each must be. */
export type SectionShape = Readonly<Record<string, "string" | "number" | "boolean" | "function" | "object" | "objects">>;

/**
 * Checks the section of a backend, for its `fromConfig`: names and types of the options. What the client's own options may hold is the
 * client's to say.
 *
 * @param path where the section stands, such as `config.redis`.
 * @param shape the options there are.
 * @param oneOf those of which exactly one must be given.
 * @throws TypeError that names the option by its path and what is accepted; it shows no value.
 */
export function checkSection(path: string, section: BackendSection, shape: SectionShape, oneOf: readonly string[] = []): void {
  for (const [option, value] of Object.entries(section)) {
    if (value === undefined) continue;
    const kind = Object.hasOwn(shape, option) ? kinds[shape[option] as SectionShape[string]] : undefined;
    if (kind === undefined) throw new TypeError(`${path}.${option} is unknown: ${path} takes ${listed(Object.keys(shape))}`);
    if (!kind.holds(value)) throw new TypeError(`${path}.${option} must be ${kind.name}, got ${kindOf(value)}`);
  }
  const given = oneOf.filter((option) => section[option] !== undefined);
  if (oneOf.length === 0 || given.length === 1) return;
  if (given.length > 1) throw new TypeError(`${paths(path, given)} exclude each other: give one of them`);
  throw new TypeError(`${path}.${oneOf[0]} is missing: ${path} needs ${oneOf.length > 1 ? `one of ${listed(oneOf)}` : "it"}`);
}

const defaultNames = ["defaultTtlMs", "defaultRetryCount", "defaultRetryDelayMs"];

function checkNames(path: string, config: LockConfig, provider: string): void {
  for (const [name, value] of Object.entries(config)) {
    if (value === undefined || name === "provider" || defaultNames.includes(name)) continue;
    if (!backendNames.includes(name) && name !== provider && !isRegistered(name))
      throw new TypeError(
        `${path}.${name} is unknown: ${path} takes provider, ${listed(defaultNames)} and the sections ${listed(backendNames)}`,
      );
    checkIsObject(`${path}.${name}`, value, "the section of a backend");
  }
}

function readDefaults(path: string, { defaultTtlMs, defaultRetryCount, defaultRetryDelayMs }: LockConfig): ProviderOptions {
  const defaults: ProviderOptions = {};
  if (defaultTtlMs !== undefined) {
    defaults.ttlMs = parseDuration(`${path}.defaultTtlMs`, defaultTtlMs);
    checkNumber(`${path}.defaultTtlMs`, defaults.ttlMs, 10);
  }
  if (defaultRetryCount !== undefined) {
    checkNumber(`${path}.defaultRetryCount`, defaultRetryCount, 0);
    if (!Number.isInteger(defaultRetryCount))
      throw new RangeError(`${path}.defaultRetryCount must be a whole number from 0 to ${longestMs}, got ${defaultRetryCount}`);
    defaults.retryCount = defaultRetryCount;
  }
  if (defaultRetryDelayMs !== undefined) {
    defaults.retryDelayMs = parseDuration(`${path}.defaultRetryDelayMs`, defaultRetryDelayMs);
    if (defaultRetryCount === undefined) throw new TypeError(`${path}.defaultRetryDelayMs needs ${path}.defaultRetryCount`);
  }
  return defaults;
}

/** The section without what is undefined, its URL parsed and without the provider's options, which come back as `fromUrl`. */
function readSection(path: string, name: string, given: BackendSection = {}): { section: BackendSection; fromUrl: ProviderOptions } {
  const section: BackendSection = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  if (section.url === undefined) return { section, fromUrl: {} };
  const { parsed, name: scheme, fromUrl } = parseBackendUrl(`${path}.url`, section.url);
  if (scheme !== name) throw new TypeError(`${path}.url must be a URL of ${name}, got one that starts with ${parsed.protocol}`);
  return { section: { ...section, url: parsed }, fromUrl };
}

function driverFrom(backend: Backend, section: BackendSection, path: string): LockDriver | Promise<LockDriver> {
  if (backend.fromConfig !== undefined) return backend.fromConfig(section, path);
  checkSection(path, section, { url: "object" }, ["url"]);
  return backend.fromUrl(section.url as URL);
}

/** An error of the backend about what it was given names where that stands. Not its cause too, which could hold a URL with its password. */
async function named<T>(path: string, make: () => T | Promise<T>): Promise<T> {
  try {
    return await make();
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof RangeError) || error.message.includes(path)) throw error;
    const message = `${path}: ${error.message}`;
    throw error instanceof RangeError ? new RangeError(message) : new TypeError(message);
  }
}

async function proved(provider: LockProvider): Promise<LockProvider> {
  try {
    await provider.ping();
    return provider;
  } catch (error) {
    await provider.close();
    throw error;
  }
}

function checkIsObject(path: string, value: unknown, what: string): void {
  if (!isObject(value) || value instanceof URL) throw new TypeError(`${path} must be ${what}, an object, got ${kindOf(value)}`);
}

/** The kind alone: a value in the wrong place may be a secret. */
function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return "an array";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

function paths(path: string, options: readonly string[]): string {
  return options.map((option) => `${path}.${option}`).join(" and ");
}

function listed(names: readonly string[]): string {
  return names.join(", ");
}
