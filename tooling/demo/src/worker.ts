/** A worker process: works through the executions, each under its lock, and posts each to the ledger with the lock's token. */
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { createLockProviderFromUrl, type Lock, LockBackendError, type LockProvider } from "@dlock/core";
import type { Execution } from "./executions.js";
import { History, now } from "./history.js";
import { Ledger } from "./ledger.js";
import type { Checkpoint, FromWorker, Job, ToWorker } from "./messages.js";

/** Short, so that the takeovers of the demo do not take long. */
const ttlMs = 1_500;
/** Longer than any takeover. */
const waitMs = 30_000;

class Worker {
  readonly #job: Job;
  readonly #locks: LockProvider;
  readonly #ledger: Ledger;
  readonly #history: History;

  constructor(job: Job, locks: LockProvider) {
    this.#job = job;
    this.#locks = locks;
    this.#ledger = new Ledger(job.ledger, job.fenced);
    this.#history = new History(job.histories, job.worker);
    locks.on("renewed", ({ key, token, remainingMs }) =>
      this.#history.note("renewed", { id: key.slice(job.keyPrefix.length), token, until: now() + remainingMs }),
    );
  }

  /** Returns when every execution is posted, by whomever. */
  async run(): Promise<void> {
    this.#history.note("started");
    let open = this.#job.executions;
    for (let patient = false; open.length > 0; ) {
      let worked = false;
      for (const execution of open) {
        if (this.#ledger.isPosted(execution.id)) continue;
        const key = this.#job.keyPrefix + execution.id;
        const lock = await this.#take(key, patient);
        if (lock === undefined) continue;
        worked = true;
        patient = false;
        await this.#guard(execution, lock);
      }
      open = open.filter(({ id }) => !this.#ledger.isPosted(id));
      // What is left is in the hands of others: wait for them, or for what they leave behind.
      patient = !worked;
    }
    this.#history.note("finished");
    this.#ledger.close();
  }

  /** A try has the time of one attempt for its answer. A server that needs longer is asked again by who waits: it is no accident of this run. */
  async #take(key: string, patient: boolean): Promise<Lock | undefined> {
    if (patient) return this.#locks.lock(key);
    try {
      return await this.#locks.tryLock(key);
    } catch (error) {
      if (!(error instanceof LockBackendError)) throw error;
      return this.#locks.lock(key);
    }
  }

  async #guard(execution: Execution, lock: Lock): Promise<void> {
    this.#history.note("acquired", { ...about(execution, lock), until: now() + lock.remainingMs });
    try {
      await this.#execute(execution, lock);
    } finally {
      this.#history.note("released", about(execution, lock));
      await lock.unlock().catch(goesOn);
    }
  }

  async #execute(execution: Execution, lock: Lock): Promise<void> {
    const found = this.#ledger.look(execution.id, lock.token);
    this.#history.note("looked", about(execution, lock));
    if (found !== "open") return;
    await checkpoint("working", execution);
    await sleep(execution.workMs);
    if (!lock.isHeld) return;
    this.#history.note("decided", about(execution, lock));
    // Between the decision and the write anything can happen, and here it does: no look at the lock can close this gap, only the fence can.
    await checkpoint("writing", execution);
    const at = now();
    const accepted = this.#ledger.post(execution, this.#job.worker, lock.token);
    this.#history.note(accepted ? "posted" : "refused", { ...about(execution, lock), at });
    if (accepted) tell({ type: "posted", id: execution.id });
  }
}

/** Without an answer a release goes on in the background, and at worst the TTL ends the lease: the next worker waits for that. */
function goesOn(error: unknown): void {
  if (!(error instanceof LockBackendError)) throw error;
}

function about({ id }: Execution, lock: Lock): { id: string; token: string } {
  return { id, token: String(lock.token) };
}

/** Lets the supervisor do what it likes with this process. */
async function checkpoint(at: Checkpoint, { id }: Execution): Promise<void> {
  tell({ type: "checkpoint", at, id });
  await once(process, "message");
}

function tell(message: FromWorker): void {
  process.send?.(message);
}

// Without a supervisor there is no reason to work.
const orphaned = () => process.exit(1);
process.on("disconnect", orphaned);
const [message] = (await once(process, "message")) as [ToWorker];
if (message.type !== "job") throw new Error("the first message must be the job");
const locks = await createLockProviderFromUrl(message.job.url, { ttlMs, waitMs });
await new Worker(message.job, locks).run();
await locks.close();
process.off("disconnect", orphaned);
process.disconnect();
