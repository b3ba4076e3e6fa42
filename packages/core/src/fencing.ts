/**
 * The guards' common ground: a guard lives where the data lives and refuses the writes of holders that somebody has overtaken
 * (Kleppmann, "How to do distributed locking", 2016). Here: what a guard may accept, how tokens compare, and the guard for data in memory.
 */
import { LockLostError, LockNotHeldError } from "./errors.js";
import type { Lock } from "./lock.js";

/** What a guard needs to know of a lock. */
export interface Fence {
  readonly key: string;
  /** As people and stores see it; grows with every holder. */
  readonly token: bigint;
  /** As the backend's record has it: a guard beside the lock's own record compares this one. */
  readonly serverToken: bigint;
}

/**
 * What a guard is to be given for `lock`.
 *
 * @throws TypeError for what is no lock and for a shared one: several shared holders may write, so a token cannot order them.
 * @throws LockNotHeldError when the lock is released or lost: its holder should have stopped.
 */
export function fenceOf(lock: Lock): Fence {
  if (typeof lock?.token !== "bigint") throw new TypeError("a guard takes the handle of a lock");
  if (lock.mode !== "exclusive") throw new TypeError('a guard takes an exclusive lock: holders with mode: "shared" are not in any order');
  if (!lock.isHeld) throw new LockNotHeldError(lock.key, "a guard takes a lock that is held");
  return { key: lock.key, token: lock.token, serverToken: lock.token >> 10n };
}

/**
 * Orders two tokens as stores keep them: decimal strings without sign or leading zeros, by length and then by bytes, since numbers of many
 * languages lose digits above 2^53. Negative, 0 or positive, as for `sort`.
 */
export function compareTokens(one: string, other: string): number {
  if (one.length !== other.length) return one.length - other.length;
  return one < other ? -1 : one > other ? 1 : 0;
}

/** A guard for data in this process: remembers, for each key, the highest token that wrote. */
export class MemoryGuard {
  readonly #highest = new Map<string, bigint>();

  /**
   * Runs `write` if no newer holder of the key has written before.
   *
   * @param write must be synchronous: between the check and its end nobody else may write. Prepare what takes time before.
   * @throws LockLostError (reason `fenced`) when a newer token has written; TypeError and LockNotHeldError as {@link fenceOf}; TypeError for
   * an async function, which is not run, and for one that returns a promise, which has begun by then.
   */
  write<T>(lock: Lock, write: () => T): T {
    const { key, token } = fenceOf(lock);
    if (typeof write !== "function" || write instanceof AsyncFunction) throw new TypeError(synchronous);
    if (token < (this.#highest.get(key) ?? -1n)) throw new LockLostError(key, "fenced");
    this.#highest.set(key, token);
    const value = write();
    if (isThenable(value)) {
      // The error that is thrown says more than what becomes of a write that should not have been made.
      value.then(undefined, () => {});
      throw new TypeError(synchronous);
    }
    return value;
  }

  /** Forgets a key that no lock will ever be taken on again. */
  forget(key: string): void {
    this.#highest.delete(key);
  }
}

const synchronous = "a guarded write must be a synchronous function: a newer holder could write while it waits";
const AsyncFunction = (async () => {}).constructor as new () => unknown;

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === "function";
}
