/** A worker process: takes and gives back locks of all kinds at random, works on the registers under them, and notes what it believes. */
import { setTimeout as sleep } from "node:timers/promises";
import { createLockProviderFromUrl, type Lock, LockError, type LockOptions, type LockProvider } from "@dlock/core";
import { History, now } from "./history.js";
import type { FromWorker, Job, ToWorker } from "./messages.js";
import { Random } from "./random.js";

class Worker {
  readonly #job: Job;
  readonly #history: History;
  readonly #random: Random;
  readonly #answers = new Map<number, (answer: ToWorker & { type: "answer" }) => void>();
  #id = 0;
  #stopping = false;

  constructor(job: Job) {
    this.#job = job;
    this.#history = new History(job.histories, job.name);
    this.#random = new Random(job.seed);
  }

  hear(message: ToWorker): void {
    if (message.type === "stop") this.#stopping = true;
    if (message.type !== "answer") return;
    this.#answers.get(message.id)?.(message);
    this.#answers.delete(message.id);
  }

  async run(): Promise<void> {
    const { url, ttlMs, providers, tasks } = this.#job;
    const all = await Promise.all(Array.from({ length: providers }, () => createLockProviderFromUrl(url, { ttlMs })));
    for (const locks of all) this.#listen(locks);
    await Promise.all(all.flatMap((locks) => Array.from({ length: tasks }, () => this.#work(locks))));
    await Promise.all(all.map((locks) => locks.close()));
    this.#history.close();
  }

  #listen(locks: LockProvider): void {
    // From before the look at what remains: better a little too short than too long.
    locks.on("renewed", ({ key, token }) => {
      const at = now();
      const lock = this.#held.get(`${key} ${token}`);
      if (lock !== undefined) this.#history.note({ type: "renewed", key, token, until: at + lock.remainingMs });
    });
    locks.on("lost", ({ key, token, reason }) => this.#history.note({ type: "lost", key, token, error: reason }));
  }

  readonly #held = new Map<string, Lock>();

  async #work(locks: LockProvider): Promise<void> {
    while (!this.#stopping) {
      const { key, options } = this.#choose();
      const lock = await this.#acquire(locks, key, options);
      if (lock !== undefined) await this.#hold(lock, options);
      else await sleep(this.#random.between(1, 20));
    }
  }

  /** Keys that all want, keys of one's own, readers and writers, a semaphore, and locks whose ghosts would live long. */
  #choose(): { key: string; options: LockOptions } {
    const random = this.#random;
    const { keyPrefix, name, ttlMs } = this.#job;
    const kind = random.pick(["hot", "hot", "warm", "warm", "own", "own", "own", "read-write", "limit", "long"] as const);
    const place = kind === "warm" ? Math.floor(random.next() * 4) : kind === "own" ? `${name}-${Math.floor(random.next() * 1_000)}` : "";
    const shared = kind === "limit" || (kind === "read-write" && random.chance(0.7));
    return {
      key: `${keyPrefix}${kind}${place}`,
      options: {
        ttlMs: kind === "long" ? ttlMs * 10 : ttlMs,
        waitMs: random.pick([0, 100, 2_000, 5_000]),
        mode: shared ? "shared" : "exclusive",
        autoRenew: random.chance(0.8),
        ...(kind === "limit" ? { limit: 3 } : {}),
      },
    };
  }

  async #acquire(locks: LockProvider, key: string, options: LockOptions): Promise<Lock | undefined> {
    const id = ++this.#id;
    const { mode = "exclusive", limit, ttlMs = 0 } = options;
    const what = { op: "lock", id, key } as const;
    const signal = this.#random.chance(0.1) ? AbortSignal.timeout(Math.ceil(this.#random.between(1, 300))) : undefined;
    this.#history.note({ type: "invoke", ...what, ttlMs });
    try {
      const lock = await locks.lock(key, signal === undefined ? options : { ...options, signal });
      const at = now();
      const until = at + lock.remainingMs;
      this.#history.note({ type: "ok", ...what, mode, ...(limit === undefined ? {} : { limit }), token: String(lock.token), until });
      return lock;
    } catch (error) {
      if (error !== signal?.reason && !(error instanceof LockError)) throw error;
      const code = error instanceof LockError ? error.code : "aborted";
      this.#history.note({ type: code === "DLOCK_BACKEND" ? "info" : "fail", ...what, error: code });
      return undefined;
    }
  }

  async #hold(lock: Lock, { mode }: LockOptions): Promise<void> {
    const { key } = lock;
    const token = String(lock.token);
    const random = this.#random;
    const name = `${key} ${token}`;
    this.#held.set(name, lock);
    if (mode === "exclusive") await this.#register("read", key, token);
    await sleep(random.chance(0.01) ? random.between(0.5, 3) * this.#job.ttlMs : random.between(0, 20));
    const at = now();
    const { isHeld } = lock;
    if (isHeld) this.#history.note({ type: "held", key, token, until: at + lock.remainingMs });
    // Some look before they write, some trust to the fence.
    if (mode === "exclusive" && (isHeld || random.chance(0.5))) await this.#register("write", key, token);
    this.#held.delete(name);
    const what = { op: "unlock", id: ++this.#id, key, token } as const;
    this.#history.note({ type: "invoke", ...what });
    try {
      this.#history.note({ type: (await lock.unlock()) ? "ok" : "fail", ...what });
    } catch (error) {
      if (!(error instanceof LockError)) throw error;
      this.#history.note({ type: "info", ...what, error: error.code });
    }
  }

  async #register(op: "read" | "write", key: string, token: string): Promise<void> {
    const id = ++this.#id;
    const value = `${this.#job.name}-${id}`;
    this.#history.note({ type: "invoke", op, id, key, token, ...(op === "write" ? { value } : {}) });
    const answer = await new Promise<ToWorker & { type: "answer" }>((resolve) => {
      this.#answers.set(id, resolve);
      tell(op === "write" ? { type: op, id, key, token, value } : { type: op, id, key, token });
    });
    const seen = answer.value === undefined ? {} : { value: answer.value };
    this.#history.note({ type: answer.accepted ? "ok" : "fail", op, id, key, token, ...seen });
  }
}

function tell(message: FromWorker): void {
  process.send?.(message);
}

// The terminal sends Ctrl-C to all; the supervisor decides what it means.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => {});
// Without a supervisor there is no reason to work.
const orphaned = () => process.exit(1);
process.on("disconnect", orphaned);
let worker: Worker | undefined;
// All in one listener: the end may come together with the job.
process.on("message", (message: ToWorker) => {
  if (message.type === "job") {
    // Where core looks for backends that are not beside itself.
    process.argv[1] = message.job.program;
    worker = new Worker(message.job);
    void worker.run().then(() => {
      process.off("disconnect", orphaned);
      process.disconnect();
    });
  } else worker?.hear(message);
});
