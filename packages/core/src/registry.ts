/** Backends by name or URL: registered by hand, or loaded from `@dlock/<name>` when first asked for. */
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import type { Call, LockDriver } from "./driver.js";
import { parseDuration } from "./duration.js";
import { BackendNotInstalledError } from "./errors.js";
import { describe } from "./key.js";
import type { ProviderOptions } from "./options.js";
import { createLockProvider, type LockProvider } from "./provider.js";

/** What a backend package exports as `backend`, and what `registerBackend` takes. */
export interface Backend {
  /**
   * Makes a driver from a URL whose scheme is the backend's name. It refuses parameters it does not know with a RangeError; the provider's
   * own (`ttl`, `wait`) are taken out before.
   */
  fromUrl(url: URL): LockDriver | Promise<LockDriver>;
  /**
   * Makes a driver from the section of a `LockConfig` that bears the backend's name; a `url` in it has been parsed. Without this method a
   * section holds a `url` and nothing else.
   *
   * @param path where the section stands, such as `config.redis`: errors name it. `checkSection` does that for the usual ones.
   */
  fromConfig?(section: BackendSection, path: string): LockDriver | Promise<LockDriver>;
  /** What the servers behind a URL say about themselves, for `dlock doctor`. Changes nothing; rejects as `ping` of a driver does. */
  examine?(url: URL, call: Call): Promise<readonly Examination[]>;
  /** The SQL that creates the tables, for `dlock schema`, where they are not made on demand alone. @throws RangeError for a wrong name. */
  schemaSql?(options: { table?: string; schema?: string }): string;
}

/** What one server says about itself. */
export interface Examination {
  /** Which one, such as `host:port`. */
  readonly server: string;
  /** What can lose locks there, a sentence each. */
  readonly warnings: readonly string[];
  /** By names in camelCase; those of durations end in `Ms`. What could not be found out is undefined. */
  readonly facts: Readonly<Record<string, string | number | boolean | undefined>>;
}

/** The part of a `LockConfig` that belongs to one backend: what its README names, the client's own options among it as they are. */
export interface BackendSection {
  /** As for `createLockProviderFromUrl`; its `ttl` and `wait` go before the defaults of the config. */
  url?: string | URL;
  readonly [option: string]: unknown;
}

/** dlock's own. */
export const backendNames: readonly string[] = ["mysql", "redis", "etcd", "sqlite", "memory"];

const backends = new Map<string, Backend>();

/**
 * Makes a backend known under a name, which is also the scheme of its URLs. A later registration replaces an earlier one.
 *
 * @throws TypeError when `name` is not a URL scheme in lower case or `backend` has no `fromUrl`.
 */
export function registerBackend(name: string, backend: Backend): void {
  if (typeof name !== "string" || !/^[a-z][a-z0-9+.-]*$/.test(name))
    throw new TypeError(`name must be a URL scheme in lower case, got ${describe(name)}`);
  if (typeof backend?.fromUrl !== "function") throw new TypeError(`backend must have a method fromUrl, got ${describe(backend)}`);
  backends.set(name, backend);
}

/** URL schemes that are spellings of another: TLS, as the clients write it. */
const aliases: Readonly<Record<string, string>> = { rediss: "redis", mariadb: "mysql" };

/**
 * Makes a provider from a URL such as `sqlite:./dlock.db` or `redis://localhost:6379?ttl=30s`. The parameters `ttl` and `wait` are the
 * provider's (a number of ms, or `500ms`, `30s`, `5m`, `1h`); the others belong to the backend.
 *
 * @throws TypeError for what is no URL, RangeError for an unknown parameter, BackendNotInstalledError when the package is not there.
 */
export async function createLockProviderFromUrl(url: string | URL, options: ProviderOptions = {}): Promise<LockProvider> {
  const { parsed, name, fromUrl } = parseBackendUrl("url", url);
  const backend = await findBackend(name);
  return provideOver(await backend.fromUrl(parsed), { ...fromUrl, ...options });
}

/** A provider over a driver that was just made: closed again when the options are wrong. */
export async function provideOver(driver: LockDriver, options: ProviderOptions): Promise<LockProvider> {
  try {
    return createLockProvider(driver, options);
  } catch (error) {
    // What a backend of the user's own has made may be no driver at all; the error says so.
    await driver?.close?.();
    throw error;
  }
}

/**
 * The name of the URL's backend, the provider's options in it, and the rest, which is the backend's.
 *
 * @param what how the URL is named in errors, which never show the URL itself: it often carries a password.
 */
export function parseBackendUrl(what: string, url: string | URL): { parsed: URL; name: string; fromUrl: ProviderOptions } {
  const parsed = parseUrl(what, url);
  const scheme = parsed.protocol.slice(0, -1);
  const fromUrl: ProviderOptions = {};
  const ttl = takeParameter(parsed, "ttl");
  if (ttl !== null) fromUrl.ttlMs = parseDuration(`the parameter ttl of ${what}`, ttl);
  const wait = takeParameter(parsed, "wait");
  if (wait !== null) fromUrl.waitMs = parseDuration(`the parameter wait of ${what}`, wait);
  return { parsed, name: aliases[scheme] ?? scheme, fromUrl };
}

export function isRegistered(name: string): boolean {
  return backends.has(name);
}

/**
 * The backend that is registered under a name, else the one that `@dlock/<name>` exports.
 *
 * @throws BackendNotInstalledError when it is not registered and its package is not there.
 */
export async function findBackend(name: string): Promise<Backend> {
  const known = backends.get(name);
  if (known !== undefined) return known;
  const packageName = `@dlock/${name}`;
  const { backend } = await load(name, packageName);
  if (typeof backend?.fromUrl !== "function") throw new TypeError(`${packageName} exports no backend: update it`);
  return backend;
}

/** Looks where core is, then where the program is: linked packages and strict installs show core only what core itself depends on. */
async function load(name: string, packageName: string): Promise<{ backend?: Backend }> {
  try {
    return (await import(packageName)) as { backend?: Backend };
  } catch (error) {
    const path = besideProgram(packageName);
    if (path === undefined) throw new BackendNotInstalledError(name, packageName, error, backendNames);
    return (await import(pathToFileURL(path).href)) as { backend?: Backend };
  }
}

function besideProgram(packageName: string): string | undefined {
  const program = process.argv[1];
  if (program === undefined) return undefined;
  try {
    return createRequire(program).resolve(packageName);
  } catch {
    // Not there either: the caller tells of it with the error that core's own import gave.
    return undefined;
  }
}

function parseUrl(what: string, url: string | URL): URL {
  if (typeof url !== "string" && !(url instanceof URL)) throw new TypeError(`${what} must be a string or a URL, got ${describe(url)}`);
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    // Without the cause: that one holds the URL.
    throw new TypeError(
      `${what} must be a URL that starts with the name of a backend, such as sqlite:./dlock.db or redis://localhost:6379; in a password write / ? # @ as %2F %3F %23 %40`,
    );
  }
  // The rest of a password that was cut in two by a "/", "?" or "#" would be taken for a path or a parameter, and shown as a wrong one.
  if (parsed.host !== "" && (parsed.pathname + parsed.search + parsed.hash).includes("@"))
    throw new TypeError(`${what} has an "@" after its host: in a password write / ? # @ as %2F %3F %23 %40, elsewhere @ as %40`);
  // Not the letter of a Windows drive: sqlite:C:/me@work/dlock.db.
  if (parsed.host === "" && /^(?![a-z]:[\\/])[^/]*:.*@/i.test(parsed.pathname))
    throw new TypeError(`${what} has a user and no host: it starts with ${parsed.protocol}//`);
  return parsed;
}

function takeParameter(url: URL, name: string): string | null {
  const value = url.searchParams.get(name);
  url.searchParams.delete(name);
  return value;
}
