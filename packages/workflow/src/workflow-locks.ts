/** `createWorkflowLocks(provider)`: the locks of workflow executions and templates over any provider. */
import {
  type Holder,
  type Lock,
  LockNotAcquiredError,
  type LockProvider,
  LockTimeoutError,
  type LogFields,
  ProviderClosedError,
  systemClock,
  type TryLockOptions,
} from "@dlock/core";
import { InTheWay, type Wanted, withBothLocks } from "./both-locks.js";
import { WorkflowAlreadyRunningError } from "./errors.js";
import { type ConflictReason, Events, type WorkflowEvents } from "./events.js";
import { firstOf } from "./first-of.js";
import { Handle, type Ids, type WorkflowLockHandle } from "./handle.js";
import {
  checkId,
  checkLockOptions,
  checkRunOptions,
  checkTemplateOptions,
  type RunOptions,
  resolveWorkflowOptions,
  type TemplateLockOptions,
  type WorkflowLockOptions,
  type WorkflowOptions,
} from "./options.js";

/** What the body of `runExecution` is given. */
export interface WorkflowExecution {
  readonly executionId: string;
  readonly templateId: string | undefined;
  /** Of the execution. */
  readonly lockKey: string;
  readonly owner: string;
  /** The fencing token of the execution: hand it to what the body writes to. */
  readonly token: bigint;
  /** Aborts when the execution's lock or the template's is lost: stop the work. */
  readonly signal: AbortSignal;
  /** Core's handle of the execution's lock, for guards. */
  readonly lock: Lock;
}

/** What became of an execution. */
export type RunResult<T> =
  | { readonly ran: true; readonly value: T; readonly skipped: undefined; readonly heldBy: undefined }
  | { readonly ran: false; readonly value: undefined; readonly skipped: ConflictReason; readonly heldBy: Holder | undefined };

/** Locks of workflows. After `close()` every method rejects with ProviderClosedError; with LockBackendError when the backend fails. */
export interface WorkflowLocks extends AsyncDisposable {
  /** Names this process in owners; the provider's. */
  readonly instanceId: string;
  /**
   * Takes the lock of an execution, at once or not at all.
   *
   * @throws WorkflowAlreadyRunningError when it is held, by whomever.
   */
  lockWorkflowExecution(executionId: string, options?: WorkflowLockOptions): Promise<WorkflowLockHandle>;
  /**
   * Takes the lock of a template, or one of its `limit` places; tries again twice, a second apart, or when one is released.
   *
   * @throws LockTimeoutError when none came free.
   */
  lockWorkflowTemplate(templateId: string, options?: TemplateLockOptions): Promise<WorkflowLockHandle>;
  /**
   * Runs `body` while the execution's lock, and with `templateId` a place of the template, are held: both or none.
   *
   * @throws what `body` throws; WorkflowAlreadyRunningError with `onConflict: "fail"`; LockTimeoutError, unless `onConflict` is `skip`, when
   * `waitMs` was over; LockLostError, with the body's `value`, when a lock was lost while the body ran to its end; DeadlockError when the
   * execution around this call holds what this one would wait for.
   */
  runExecution<T>(executionId: string, body: (execution: WorkflowExecution) => Promise<T> | T): Promise<RunResult<T>>;
  runExecution<T>(executionId: string, options: RunOptions, body: (execution: WorkflowExecution) => Promise<T> | T): Promise<RunResult<T>>;
  /** Listens; returns how to stop. A listener that throws breaks nothing. */
  on<N extends keyof WorkflowEvents>(event: N, listener: (event: WorkflowEvents[N]) => void): () => void;
  /** Refuses new calls; closes the provider too if it was made for this object, from a config. Idempotent. */
  close(): Promise<void>;
}

/**
 * Workflow locks over a provider that the caller has and closes.
 *
 * @throws TypeError or RangeError that names the option and what is accepted.
 */
export function createWorkflowLocks(provider: LockProvider, options: WorkflowOptions = {}): WorkflowLocks {
  return makeWorkflowLocks(provider, options, async () => {});
}

/** @param onClose ends what was made for this object. */
export function makeWorkflowLocks(provider: LockProvider, options: WorkflowOptions, onClose: () => Promise<void>): WorkflowLocks {
  if (typeof provider?.withLock !== "function")
    throw new TypeError("provider must be a LockProvider, such as createLockProvider(...) makes");
  return new Locks(provider, options, onClose);
}

type Body<T> = (execution: WorkflowExecution) => Promise<T> | T;

class Locks implements WorkflowLocks {
  readonly #provider: LockProvider;
  readonly #options: ReturnType<typeof resolveWorkflowOptions>;
  readonly #events: Events;
  readonly #onClose: () => Promise<void>;
  #closing: Promise<void> | undefined;

  constructor(provider: LockProvider, options: WorkflowOptions, onClose: () => Promise<void>) {
    this.#provider = provider;
    this.#options = resolveWorkflowOptions(options);
    this.#onClose = onClose;
    const { logger } = this.#options;
    this.#events = new Events((error) => {
      if (logger === undefined) process.emitWarning(error instanceof Error ? error : String(error));
      else logger.error({ component, err: error }, "a listener of workflow events failed");
    });
  }

  get instanceId(): string {
    return this.#provider.instanceId;
  }

  async lockWorkflowExecution(executionId: string, options: WorkflowLockOptions = {}): Promise<WorkflowLockHandle> {
    this.#open();
    checkId("executionId", executionId);
    checkLockOptions(options);
    const { key, options: lockOptions } = this.#execution(executionId, options);
    try {
      return this.#handle(await this.#provider.lock(key, { ...lockOptions, waitMs: 0 }), { executionId, templateId: undefined });
    } catch (error) {
      if (!(error instanceof LockNotAcquiredError)) throw error;
      this.#conflict({ executionId, templateId: undefined }, new InTheWay(key, error.holder), "skipped");
      throw new WorkflowAlreadyRunningError(executionId, key, error.holder, error);
    }
  }

  async lockWorkflowTemplate(templateId: string, options: TemplateLockOptions = {}): Promise<WorkflowLockHandle> {
    this.#open();
    checkId("templateId", templateId);
    checkTemplateOptions(options);
    const { limit, ...rest } = options;
    const { key, options: lockOptions } = this.#template(templateId, limit, rest);
    const { templateRetryCount: retryCount, templateRetryDelayMs: retryDelayMs } = this.#options;
    const lock = await this.#provider.lock(key, { ...lockOptions, retryCount, retryDelayMs });
    return this.#handle(lock, { executionId: undefined, templateId });
  }

  async runExecution<T>(executionId: string, ...rest: [Body<T>] | [RunOptions, Body<T>]): Promise<RunResult<T>> {
    this.#open();
    const [options, body] = rest.length === 2 ? rest : [{}, rest[0]];
    checkId("executionId", executionId);
    checkRunOptions(options);
    if (typeof body !== "function") throw new TypeError("body must be a function that takes the execution");
    const { templateId, templateLimit, onConflict = "skip", waitMs = onConflict === "wait" ? 10_000 : 2_000, ...context } = options;
    // Re-entry is for the template: an execution inside of itself would run twice.
    const { reentrant: _, ...plain } = context;
    const wanted = this.#execution(executionId, plain);
    const template = templateId === undefined ? undefined : this.#template(templateId, templateLimit, context);
    const startedAt = systemClock.now();
    const ids = { executionId, templateId };
    const came = await withBothLocks(this.#provider, wanted, template, { execution: onConflict === "wait", waitMs }, (lock, other) =>
      this.#run(ids, lock, other, startedAt, body),
    );
    if (!(came instanceof InTheWay)) return { ran: true, value: came.value, skipped: undefined, heldBy: undefined };
    const reason = this.#conflict(ids, came, onConflict === "skip" ? "skipped" : "given up");
    if (onConflict === "skip") return { ran: false, value: undefined, skipped: reason, heldBy: came.holder };
    if (onConflict === "fail" && reason === "already-running") throw new WorkflowAlreadyRunningError(executionId, came.key, came.holder);
    throw came.timeout ?? new LockTimeoutError(came.key, systemClock.now() - startedAt, came.holder);
  }

  on<N extends keyof WorkflowEvents>(event: N, listener: (event: WorkflowEvents[N]) => void): () => void {
    return this.#events.on(event, listener);
  }

  close(): Promise<void> {
    this.#closing ??= this.#onClose();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #run<T>(ids: Ids & { executionId: string }, lock: Lock, template: Lock | undefined, startedAt: number, body: Body<T>): Promise<T> {
    const { key: lockKey, owner, token } = lock;
    const signals = template === undefined ? () => lock.signal : firstOf([lock, template]);
    const execution: WorkflowExecution = {
      ...ids,
      lockKey,
      owner,
      token,
      lock,
      get signal() {
        return signals();
      },
    };
    const ranFrom = systemClock.now();
    const fields = { lock_key: lockKey, owner, token: String(token) };
    this.#log("info", ids, fields, "workflow lock acquired");
    this.#events.emit("started", { ...ids, lockKey, owner, token: String(token), waitedMs: ranFrom - startedAt });
    let outcome: WorkflowEvents["finished"]["outcome"] = "failed";
    try {
      const value = await body(execution);
      outcome = "completed";
      return value;
    } finally {
      const ranMs = systemClock.now() - ranFrom;
      const released = await releaseTogether(template === undefined ? [lock] : [lock, template]);
      if (released === "lost") outcome = "lost";
      const line = { ...fields, outcome, ran_ms: Math.round(ranMs) };
      if (released === "released") this.#log("info", ids, line, "workflow lock released");
      else if (released === "lost") this.#log("warn", ids, line, "workflow lock was lost while the execution ran");
      else this.#log("warn", ids, line, "workflow lock could not be released, its TTL will end it");
      this.#events.emit("finished", { ...ids, lockKey, ranMs, outcome });
    }
  }

  #handle(lock: Lock, ids: Ids): WorkflowLockHandle {
    const fields = { lock_key: lock.key, owner: lock.owner, token: String(lock.token) };
    this.#log("info", ids, fields, "workflow lock acquired");
    return new Handle(lock, ids, (wasHeld) => {
      if (wasHeld) this.#log("info", ids, fields, "workflow lock released");
      else this.#log("warn", ids, fields, "workflow lock was lost before it was released");
    });
  }

  #conflict(ids: Ids & { executionId: string }, { key, holder }: InTheWay, what: "skipped" | "given up"): ConflictReason {
    const reason = key.startsWith(executionPrefix) ? "already-running" : "template-limit";
    const why = reason === "already-running" ? "workflow is already running elsewhere" : "workflow template has no place free";
    const fields = { lock_key: key, ...(holder === undefined ? {} : { owner: holder.owner }) };
    this.#log("info", ids, fields, `${why}, ${what}`);
    this.#events.emit("conflict", { ...ids, reason, heldBy: holder });
    return reason;
  }

  #log(level: "info" | "warn", { executionId, templateId }: Ids, fields: LogFields, message: string): void {
    this.#options.logger?.[level](
      {
        component,
        ...fields,
        ...(executionId === undefined ? {} : { execution_id: executionId }),
        ...(templateId === undefined ? {} : { template_id: templateId }),
      },
      message,
    );
  }

  #execution(executionId: string, options: WorkflowLockOptions): Wanted {
    return { key: executionPrefix + executionId, options: { ...options, ttlMs: this.#options.executionTtlMs } };
  }

  /** A limit of 1 is an exclusive lock: it excludes holders of every other limit, and its token may fence. */
  #template(templateId: string, limit = 1, options: WorkflowLockOptions = {}): Wanted {
    const mode: TryLockOptions = limit === 1 ? {} : { mode: "shared", limit };
    return { key: templatePrefix + templateId, options: { ...options, ...mode, ttlMs: this.#options.templateTtlMs } };
  }

  #open(): void {
    if (this.#closing !== undefined) throw new ProviderClosedError();
  }
}

const component = "workflow_lock";
const executionPrefix = "workflow_execution:";
const templatePrefix = "workflow_template:";

/** In one tick, so that one call to the server can carry both. What fails is reported by `withLock`, which releases again. */
async function releaseTogether(locks: readonly Lock[]): Promise<"released" | "lost" | "unknown"> {
  const results = await Promise.allSettled(locks.map((lock) => lock.unlock()));
  if (results.some((result) => result.status === "fulfilled" && !result.value)) return "lost";
  return results.every(({ status }) => status === "fulfilled") ? "released" : "unknown";
}
