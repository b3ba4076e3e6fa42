/**
 * Several keys, all or nothing. Optimistic first: everything is asked for at once and given back when anything is refused, so that nothing is
 * held while waiting. After a few refusals the keys are taken one by one in the order of their bytes, holding: single-key traffic cannot
 * starve it then, and two callers cannot deadlock, since both go in the same order.
 */
import { Refused } from "./acquire.js";
import type { Holder } from "./driver.js";
import type { Engine } from "./engine.js";
import { LockBackendError, LockNotAcquiredError, LockTimeoutError } from "./errors.js";
import { Hint } from "./hint.js";
import { checkKey } from "./key.js";
import type { Lock, LockHandle } from "./lock.js";
import { checkKnown } from "./options.js";

/** One of the keys of `lockAll`; a plain string asks for it exclusively. */
export interface LockAllRequest {
  key: string;
  mode?: "exclusive" | "shared";
  limit?: number;
}

/** So often everything is given back before the keys are taken one by one. */
const optimisticRounds = 5;

type Mode = Omit<LockAllRequest, "key">;

/** How the provider takes one key. */
interface Ask {
  tryLock(key: string, mode: Mode): Promise<LockHandle | Refused>;
  lock(key: string, mode: Mode, waitMs: number): Promise<LockHandle>;
}

/** One `lockAll` on its way. */
export class Taking {
  readonly #engine: Engine;
  readonly #requests: readonly LockAllRequest[];
  readonly #signal: AbortSignal | undefined;
  readonly #ask: Ask;
  /** For each key that was in the way. */
  readonly #hints = new Map<string, Hint>();

  constructor(engine: Engine, requests: readonly LockAllRequest[], signal: AbortSignal | undefined, ask: Ask) {
    this.#engine = engine;
    this.#requests = requests;
    this.#signal = signal;
    this.#ask = ask;
  }

  /**
   * Takes all, or throws and holds nothing.
   *
   * @throws LockTimeoutError that names the key in the way; what `lock` throws.
   */
  async take(waitMs: number): Promise<Lock[]> {
    const { clock } = this.#engine;
    const startedAt = clock.now();
    const left = () => Math.max(startedAt + waitMs - clock.now(), 0);
    try {
      for (let round = 0; ; round++) {
        const optimistic = round < optimisticRounds;
        const taken = await (optimistic ? this.#tryAll() : this.#takeInOrder(left));
        const inTheWay = taken instanceof InTheWay ? taken : await giveUpIfLost(taken);
        if (inTheWay === undefined) return taken as Lock[];
        if (left() <= 0) throw this.#timedOut(inTheWay, waitMs, clock.now() - startedAt);
        if (optimistic) await this.#hintFor(inTheWay.key).next(inTheWay.holder, left(), this.#signal);
      }
    } finally {
      for (const hint of this.#hints.values()) hint.stop();
    }
  }

  #timedOut({ key, holder, error }: InTheWay, waitMs: number, waitedMs: number): Error {
    if (error !== undefined) return error;
    if (waitMs === 0) return new LockNotAcquiredError(key, holder);
    this.#engine.events.emit("timeout", { key, waitedMs, holder });
    return new LockTimeoutError(key, waitedMs, holder);
  }

  /** Asks for all in one tick, so that one call to the server can carry them. */
  async #tryAll(): Promise<Lock[] | InTheWay> {
    const tried = await Promise.allSettled(this.#requests.map(({ key, ...mode }) => this.#ask.tryLock(key, mode)));
    const locks: Lock[] = [];
    let inTheWay: InTheWay | undefined;
    let failed: PromiseRejectedResult | undefined;
    for (const [i, result] of tried.entries()) {
      const { key } = this.#requests[i] as LockAllRequest;
      if (result.status === "fulfilled") {
        if (result.value instanceof Refused) inTheWay ??= new InTheWay(key, result.value.holder);
        else locks.push(result.value);
      } else if (mayPass(result.reason)) inTheWay ??= new InTheWay(key, undefined, result.reason);
      else failed ??= result;
    }
    if (failed === undefined && inTheWay === undefined) return locks;
    await releaseAll(locks);
    if (failed !== undefined) throw failed.reason;
    return inTheWay as InTheWay;
  }

  async #takeInOrder(left: () => number): Promise<Lock[] | InTheWay> {
    const locks: Lock[] = [];
    for (const { key, ...mode } of this.#requests) {
      try {
        locks.push(await this.#ask.lock(key, mode, left()));
      } catch (error) {
        await releaseAll(locks);
        // Asked once only, for the time was up.
        if (error instanceof LockNotAcquiredError) return new InTheWay(key, error.holder);
        throw error;
      }
    }
    return locks;
  }

  #hintFor(key: string): Hint {
    let hint = this.#hints.get(key);
    if (hint === undefined) {
      hint = new Hint(this.#engine, key);
      this.#hints.set(key, hint);
    }
    return hint;
  }
}

/** A key that was not to be had: held by another, or (with an error) not answered for. */
class InTheWay {
  readonly key: string;
  readonly holder: Holder | undefined;
  readonly error: LockBackendError | undefined;

  constructor(key: string, holder: Holder | undefined, error?: LockBackendError) {
    this.key = key;
    this.holder = holder;
    this.error = error;
  }
}

/** A wait outlasts a backend that is away for a moment, as that of `lock` does. */
function mayPass(error: unknown): error is LockBackendError {
  return error instanceof LockBackendError && error.retryable;
}

/** One may be lost while the others are waited for. */
async function giveUpIfLost(locks: readonly Lock[]): Promise<InTheWay | undefined> {
  const lost = locks.find((lock) => !lock.isHeld);
  if (lost === undefined) return undefined;
  await releaseAll(locks);
  return new InTheWay(lost.key, undefined);
}

/** A release whose answer is lost goes on in the background, so nothing is kept by it for long. */
async function releaseAll(locks: readonly Lock[]): Promise<void> {
  await Promise.all(
    locks.map((lock) =>
      lock.unlock().catch((error: unknown) => {
        if (!(error instanceof LockBackendError)) throw error;
      }),
    ),
  );
}

/**
 * The distinct keys in the order of their bytes.
 *
 * @param check what else is to be checked of each.
 * @throws TypeError or RangeError for bad requests, InvalidLockKeyError for bad keys.
 */
export function mergeRequests(
  requests: readonly (string | LockAllRequest)[],
  check: (request: LockAllRequest) => unknown,
): LockAllRequest[] {
  if (!Array.isArray(requests) || requests.length === 0) throw new TypeError("requests must be an array of at least one key");
  const merged = new Map<string, LockAllRequest>();
  const shared = new Map<string, LockAllRequest>();
  for (const each of requests) {
    const request = typeof each === "string" ? { key: each } : each;
    checkKnown("requests", request, ["key", "mode", "limit"]);
    const { key, mode, limit } = request;
    checkKey(key);
    check(request);
    if (mode === "shared") {
      const known = shared.get(key) ?? request;
      shared.set(key, known);
      if (known.limit !== limit)
        throw new RangeError(`the key ${JSON.stringify(key)} is asked for with the limits ${known.limit} and ${limit}: say one`);
    }
    // Exclusive includes shared.
    if (mode !== "shared" || !merged.has(key)) merged.set(key, request);
  }
  return [...merged.values()].sort((one, other) => Buffer.compare(Buffer.from(one.key), Buffer.from(other.key)));
}
