/** Several providers under names: one place to ask for any of them, to look at all of them and to close them. */
import { systemClock } from "./clock.js";
import { type LockConfig, provideFromConfig, provideFromUrl } from "./config.js";
import type { Holder } from "./driver.js";
import { ProviderClosedError } from "./errors.js";
import { describe } from "./key.js";
import type { Lock } from "./lock.js";
import type { LockOptions, ProviderOptions, TryLockOptions } from "./options.js";
import type { LockProvider, TryResult } from "./provider.js";
import type { LockStats } from "./stats.js";

/** How a backend answered a ping. */
export type ProviderHealth =
  | { readonly healthy: true; readonly latencyMs: number }
  | { readonly healthy: false; readonly latencyMs: number; readonly error: unknown };

/** Named providers. The methods that take a `name` do what the provider's method does; RangeError when there is no such name. */
export interface LockManager extends AsyncDisposable {
  /** The names, in the order of their registration. */
  readonly names: readonly string[];
  /**
   * Makes a provider known under a name; from now on the manager closes it.
   *
   * @throws TypeError for what is no name or no provider, RangeError for a name that is taken, ProviderClosedError after `close()`.
   */
  register(name: string, provider: LockProvider): void;
  /** The provider of a name; without a name the only one. @throws RangeError when there is none, or several and no name. */
  get(name?: string): LockProvider;
  withLock<T>(name: string, key: string, body: (lock: Lock) => Promise<T> | T): Promise<T>;
  withLock<T>(name: string, key: string, options: LockOptions, body: (lock: Lock) => Promise<T> | T): Promise<T>;
  tryWithLock<T>(name: string, key: string, body: (lock: Lock) => Promise<T> | T): Promise<TryResult<T>>;
  tryWithLock<T>(name: string, key: string, options: TryLockOptions, body: (lock: Lock) => Promise<T> | T): Promise<TryResult<T>>;
  isLocked(name: string, key: string): Promise<boolean>;
  inspect(name: string, key: string): Promise<readonly Holder[]>;
  renew(name: string, key: string, owner: string, ttlMs: number): Promise<void>;
  /** The statistics of each provider, by name. */
  stats(): Record<string, LockStats>;
  /** Pings all at once; never rejects. By name. */
  health(): Promise<Record<string, ProviderHealth>>;
  /**
   * Closes all, each even when another fails. Idempotent.
   *
   * @throws AggregateError with what failed: only providers that are not dlock's own can.
   */
  close(): Promise<void>;
}

/** A manager of no providers yet. */
export function createLockManager(): LockManager {
  return new Manager();
}

/**
 * A manager with a provider for each entry: a `LockConfig` or a URL. When one fails, all are closed again.
 *
 * @param configs by name; errors name an option by its path in it, such as `config.orders.redis.url`.
 * @param options of all providers; they go before those of the configs.
 * @throws what `createLockProviderFromConfig` throws.
 */
export async function createLockManagerFromConfig(
  configs: Readonly<Record<string, LockConfig | string | URL>>,
  options: ProviderOptions = {},
): Promise<LockManager> {
  if (typeof configs !== "object" || configs === null || Array.isArray(configs))
    throw new TypeError(`config must be an object of LockConfigs or URLs by name, got ${describe(configs)}`);
  const names = Object.keys(configs);
  const made = await Promise.allSettled(names.map((name) => provide(`config.${name}`, configs[name], options)));
  const manager = new Manager();
  try {
    names.forEach((name, index) => {
      const result = made[index] as PromiseSettledResult<LockProvider>;
      if (result.status === "rejected") throw result.reason;
      manager.register(name, result.value);
    });
  } catch (error) {
    await Promise.all(made.map((result) => (result.status === "fulfilled" ? result.value.close() : undefined)));
    throw error;
  }
  return manager;
}

async function provide(path: string, config: LockConfig | string | URL | undefined, options: ProviderOptions): Promise<LockProvider> {
  if (typeof config === "string" || config instanceof URL) return provideFromUrl(path, config, options);
  return provideFromConfig(path, config as LockConfig, options);
}

type Body<T> = (lock: Lock) => Promise<T> | T;

class Manager implements LockManager {
  readonly #providers = new Map<string, LockProvider>();
  #closing: Promise<void> | undefined;

  get names(): readonly string[] {
    return [...this.#providers.keys()];
  }

  register(name: string, provider: LockProvider): void {
    if (this.#closing !== undefined) throw new ProviderClosedError();
    if (typeof name !== "string" || name === "") throw new TypeError(`name must be a string that is not empty, got ${describe(name)}`);
    if (typeof provider?.withLock !== "function") throw new TypeError(`provider must be a LockProvider, got ${describe(provider)}`);
    if (this.#providers.has(name)) throw new RangeError(`the name ${JSON.stringify(name)} is taken`);
    this.#providers.set(name, provider);
  }

  get(name?: string): LockProvider {
    if (name !== undefined && typeof name !== "string") throw new TypeError(`name must be a string, got ${describe(name)}`);
    if (name === undefined && this.#providers.size === 1) return this.#providers.values().next().value as LockProvider;
    const provider = name === undefined ? undefined : this.#providers.get(name);
    if (provider !== undefined) return provider;
    const known = this.names.map((each) => JSON.stringify(each)).join(", ") || "none";
    throw new RangeError(
      `${name === undefined ? "name is needed" : `no provider is registered as ${JSON.stringify(name)}`}; there are: ${known}`,
    );
  }

  async withLock<T>(name: string, key: string, ...rest: [Body<T>] | [LockOptions, Body<T>]): Promise<T> {
    return this.get(name).withLock(key, ...(rest as [LockOptions, Body<T>]));
  }

  async tryWithLock<T>(name: string, key: string, ...rest: [Body<T>] | [TryLockOptions, Body<T>]): Promise<TryResult<T>> {
    return this.get(name).tryWithLock(key, ...(rest as [TryLockOptions, Body<T>]));
  }

  async isLocked(name: string, key: string): Promise<boolean> {
    return this.get(name).isLocked(key);
  }

  async inspect(name: string, key: string): Promise<readonly Holder[]> {
    return this.get(name).inspect(key);
  }

  async renew(name: string, key: string, owner: string, ttlMs: number): Promise<void> {
    await this.get(name).renew(key, owner, ttlMs);
  }

  stats(): Record<string, LockStats> {
    return Object.fromEntries([...this.#providers].map(([name, provider]) => [name, provider.stats()]));
  }

  async health(): Promise<Record<string, ProviderHealth>> {
    const entries = [...this.#providers].map(async ([name, provider]) => [name, await healthOf(provider)] as const);
    return Object.fromEntries(await Promise.all(entries));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const closed = await Promise.allSettled([...this.#providers.values()].map(async (provider) => provider.close()));
    const failed = this.names.filter((_, index) => closed[index]?.status === "rejected");
    if (failed.length === 0) return;
    const errors = closed.flatMap((result) => (result.status === "rejected" ? [result.reason as unknown] : []));
    throw new AggregateError(errors, `could not close ${failed.map((name) => JSON.stringify(name)).join(", ")}`);
  }
}

async function healthOf(provider: LockProvider): Promise<ProviderHealth> {
  const startedAt = systemClock.now();
  try {
    await provider.ping();
    return { healthy: true, latencyMs: systemClock.now() - startedAt };
  } catch (error) {
    return { healthy: false, latencyMs: systemClock.now() - startedAt, error };
  }
}
