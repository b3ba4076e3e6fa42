/**
 * The lock of an execution and that of its template, all or nothing around a body. Nothing is held while waiting, so that nobody is kept out
 * by a waiter. The locks are taken by `withLock` and `tryWithLock`, so the body's context knows of both: nested executions find out at once
 * when they would wait for themselves.
 */
import {
  exponentialBackoff,
  type Holder,
  type Lock,
  LockLostError,
  type LockOptions,
  type LockProvider,
  LockTimeoutError,
  systemClock,
  type TryLockOptions,
} from "@dlock/core";

/** One of the locks, and how it is taken. */
export interface Wanted {
  readonly key: string;
  readonly options: TryLockOptions;
}

/** Which lock was in the way, in the end. */
export class InTheWay {
  readonly key: string;
  readonly holder: Holder | undefined;
  /** What core said, when a wait ran out. */
  readonly timeout: LockTimeoutError | undefined;

  constructor(key: string, holder: Holder | undefined, timeout?: LockTimeoutError) {
    this.key = key;
    this.holder = holder;
    this.timeout = timeout;
  }
}

/** So often everything is given back before the locks are taken one after the other, holding. */
const optimisticRounds = 5;

/** Only the safety net where the backend tells of releases. Not the provider's strategy: that one may end before the wait does. */
const retry = exponentialBackoff(50, { capMs: 1_000, jitter: 0.5 });

type Body<T> = (execution: Lock, template: Lock | undefined) => Promise<T> | T;

/**
 * Runs `body` with both locks, or resolves to what was in the way.
 *
 * @param waits `execution`: whether a running execution is waited for; the template always is. `waitMs`: for how long in all.
 * @throws what `body` throws; LockLostError when a lock was lost while it ran; DeadlockError, LockBackendError and so on as `withLock`.
 */
export async function withBothLocks<T>(
  provider: LockProvider,
  execution: Wanted,
  template: Wanted | undefined,
  waits: { readonly execution: boolean; readonly waitMs: number },
  body: Body<T>,
): Promise<{ readonly value: T } | InTheWay> {
  const startedAt = systemClock.now();
  const left = () => Math.max(startedAt + waits.waitMs - systemClock.now(), 0);
  const run = async ([one, other]: readonly [Lock, Lock?]) => (one.key === execution.key ? body(one, other) : body(other as Lock, one));
  let [first, second]: readonly [Wanted, Wanted | undefined] = [execution, template];
  let waitMs = 0;
  for (let round = 0; round < optimisticRounds; round++) {
    const came = await attempt(provider, first, waitMs, second, run);
    if (!(came instanceof InTheWay)) return came;
    const mayWait = came.key === template?.key || waits.execution;
    if (!mayWait || came.timeout !== undefined || left() === 0) return came;
    if (came.key !== first.key) [first, second] = [second as Wanted, first];
    waitMs = left();
  }
  return takeInTurn(provider, execution, template, left, run);
}

type Run<T> = (locks: readonly [Lock, Lock?]) => Promise<T>;

/** Waits for the first at most, and asks for the second once. */
async function attempt<T>(provider: LockProvider, first: Wanted, waitMs: number, second: Wanted | undefined, run: Run<T>) {
  let inTheWay: InTheWay | undefined;
  const inside = async (one: Lock): Promise<T | InTheWay> => {
    if (second === undefined) return run([one]);
    const result = await provider.tryWithLock(second.key, second.options, (other) => run([one, other]));
    if (result.acquired) return result.value;
    inTheWay = new InTheWay(second.key, result.holder);
    return inTheWay;
  };
  try {
    const value = await (waitMs > 0 ? waitFor(provider, first, waitMs, inside) : tryFor(provider, first, inside));
    return value instanceof InTheWay ? value : { value };
  } catch (error) {
    // Lost while the other was refused: nothing had begun.
    if (inTheWay !== undefined && error instanceof LockLostError) return inTheWay;
    throw error;
  }
}

async function tryFor<T>(provider: LockProvider, { key, options }: Wanted, inside: (lock: Lock) => Promise<T>): Promise<T | InTheWay> {
  const result = await provider.tryWithLock(key, options, inside);
  return result.acquired ? result.value : new InTheWay(key, result.holder);
}

async function waitFor<T>(provider: LockProvider, { key, options }: Wanted, waitMs: number, inside: (lock: Lock) => Promise<T>) {
  const lockOptions: LockOptions = { ...options, waitMs, retry };
  let entered = false;
  try {
    return await provider.withLock(key, lockOptions, (lock) => {
      entered = true;
      return inside(lock);
    });
  } catch (error) {
    // A timeout of the body's own is the body's.
    if (entered || !(error instanceof LockTimeoutError)) throw error;
    return new InTheWay(key, error.holder, error);
  }
}

/**
 * Holding the first while it waits for the second. Everyone who holds one of two such locks and waits for the other goes in this order, so
 * nobody waits in a circle; and traffic on one of them cannot keep out for ever who needs both.
 */
async function takeInTurn<T>(
  provider: LockProvider,
  first: Wanted,
  second: Wanted | undefined,
  left: () => number,
  run: Run<T>,
): Promise<{ readonly value: T } | InTheWay> {
  // At least one attempt, whatever time is left.
  const rest = () => Math.max(left(), 1);
  return waitFor(provider, first, rest(), async (one) => {
    if (second === undefined) return { value: await run([one]) };
    return waitFor(provider, second, rest(), async (other) => ({ value: await run([one, other]) }));
  });
}
