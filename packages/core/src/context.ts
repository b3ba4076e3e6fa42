/** What the present async context holds: set by `withLock` and `tryWithLock`, seen by everything their bodies await. */
import { AsyncLocalStorage } from "node:async_hooks";
import type { LockHandle } from "./lock.js";

/** One `withLock` around the present code; the chain of `outer` leads to the outermost. */
export interface Scope {
  /** Whose lock it is: two providers may use the same key for different locks. */
  readonly provider: object;
  readonly key: string;
  readonly lock: LockHandle;
  /** Undefined for a detached one: its body is no part of what surrounds it. */
  readonly outer: Scope | undefined;
  /** Where it was asked for, when the provider detects deadlocks: a stack for each lock would cost as much as the lock. */
  readonly where: string | undefined;
}

const storage = new AsyncLocalStorage<Scope>();

/** Calls `body` with the lock, inside of `scope`. */
export function runInScope<T>(scope: Scope, body: (lock: LockHandle) => T, lock: LockHandle): T {
  return storage.run(scope, body, lock);
}

/** The innermost scope of the present context. */
export function currentScope(): Scope | undefined {
  return storage.getStore();
}

/** The scopes of this context whose lock on `key` is held, innermost first. */
export function scopesHolding(provider: object, key: string): Scope[] {
  const found: Scope[] = [];
  for (let scope = storage.getStore(); scope !== undefined; scope = scope.outer) {
    if (scope.provider === provider && scope.key === key && scope.lock.isHeld) found.push(scope);
  }
  return found;
}
