/** The handle of one workflow lock: core's lock, with the ids people know. */
import type { Lock } from "@dlock/core";

export interface WorkflowLockHandle extends AsyncDisposable {
  /** `workflow_execution:{id}` or `workflow_template:{id}`. */
  readonly lockKey: string;
  /** Of an execution's lock; undefined for a template's. */
  readonly executionId: string | undefined;
  /** Of a template's lock; undefined for an execution's. */
  readonly templateId: string | undefined;
  /** `{instance id}-{random}`: two locks of one instance have two owners. */
  readonly owner: string;
  /** The fencing token: greater than that of every earlier holder. Hand it to what the execution writes to. */
  readonly token: bigint;
  /** Aborts when the lock is lost: stop the work. */
  readonly signal: AbortSignal;
  /** Core's handle, for guards and for all that is not here. */
  readonly lock: Lock;
  /** Renews now; renewal goes on by itself too. @param ttlMs the new TTL in ms; default the lock's. @throws LockNotHeldError, LockBackendError. */
  refresh(ttlMs?: number): Promise<void>;
  /** Lets go. Idempotent. Resolves to whether the lock was still held. @throws LockBackendError. */
  unlock(): Promise<boolean>;
}

export interface Ids {
  readonly executionId: string | undefined;
  readonly templateId: string | undefined;
}

export class Handle implements WorkflowLockHandle {
  readonly executionId: string | undefined;
  readonly templateId: string | undefined;
  readonly lock: Lock;
  readonly #onReleased: (wasHeld: boolean) => void;
  #released: Promise<boolean> | undefined;

  /** @param onReleased called once, when the lock was given back. */
  constructor(lock: Lock, { executionId, templateId }: Ids, onReleased: (wasHeld: boolean) => void) {
    this.lock = lock;
    this.executionId = executionId;
    this.templateId = templateId;
    this.#onReleased = onReleased;
  }

  get lockKey(): string {
    return this.lock.key;
  }

  get owner(): string {
    return this.lock.owner;
  }

  get token(): bigint {
    return this.lock.token;
  }

  get signal(): AbortSignal {
    return this.lock.signal;
  }

  refresh(ttlMs?: number): Promise<void> {
    return this.lock.refresh(ttlMs);
  }

  unlock(): Promise<boolean> {
    this.#released ??= this.#unlock();
    return this.#released;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.unlock();
  }

  async #unlock(): Promise<boolean> {
    const wasHeld = await this.lock.unlock();
    this.#onReleased(wasHeld);
    return wasHeld;
  }
}
