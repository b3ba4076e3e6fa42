/** Starts the workers, lets the accidents happen to them, and waits until all have ended. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Execution } from "./executions.js";
import { Accidents } from "./faults.js";
import { History, now } from "./history.js";
import type { FromWorker, Job, ToWorker } from "./messages.js";

const workerFile = fileURLToPath(new URL("./worker.js", import.meta.url));
/** A run takes a few seconds; one that takes this long is stuck, and that is a failure too. */
const patienceMs = 120_000;

export interface Run {
  readonly wallMs: number;
  /** What went wrong with the processes themselves. */
  readonly complaints: readonly string[];
}

export class Supervisor {
  readonly #job: Omit<Job, "worker">;
  readonly #accidents: Accidents;
  readonly #processes = new Map<string, ChildProcess>();
  readonly #ends: Promise<void>[] = [];
  readonly #killed = new Set<string>();
  readonly #complaints: string[] = [];
  #posted = 0;
  /** The worker that sleeps, and what wakes it. */
  #sleeper: { readonly worker: string; readonly id: string } | undefined;

  constructor(job: Omit<Job, "worker">) {
    this.#job = job;
    this.#accidents = new Accidents(job.executions.length);
  }

  async run(workers: number): Promise<Run> {
    const from = now();
    const interrupted = (signal: string) => this.#giveUp(`interrupted by ${signal}`);
    const stuck = setTimeout(() => this.#giveUp(`not done after ${patienceMs / 1_000} s`), patienceMs);
    process.once("SIGINT", interrupted).once("SIGTERM", interrupted);
    for (let index = 0; index < workers; index++) this.#start(`w${index + 1}`, index / workers);
    // Grows while it is awaited: a killed worker has a successor.
    for (const end of this.#ends) await end;
    process.off("SIGINT", interrupted).off("SIGTERM", interrupted);
    clearTimeout(stuck);
    return { wallMs: now() - from, complaints: this.#complaints };
  }

  /** @param share where in the list this worker begins, from 0 to 1: they meet at the end, not at the start. */
  #start(worker: string, share: number): void {
    const { executions } = this.#job;
    const process = fork(workerFile, { serialization: "json" });
    this.#processes.set(worker, process);
    process.on("message", (message: FromWorker) => this.#onMessage(worker, share, message));
    this.#ends.push(this.#ended(worker, process));
    send(process, { type: "job", job: { ...this.#job, worker, executions: rotate(executions, Math.floor(share * executions.length)) } });
  }

  async #ended(worker: string, process: ChildProcess): Promise<void> {
    const [code, signal] = (await once(process, "exit")) as [number | null, string | null];
    this.#processes.delete(worker);
    // The run has failed: it may have been the one that was to wake the sleeper.
    if (code !== 0 && !this.#killed.has(worker)) this.#giveUp(`${worker} ended with ${signal ?? `code ${code}`}`);
  }

  #giveUp(why: string): void {
    this.#complaints.push(why);
    for (const [worker, process] of this.#processes) {
      this.#killed.add(worker);
      process.kill("SIGKILL");
    }
  }

  #onMessage(worker: string, share: number, message: FromWorker): void {
    if (message.type === "posted") {
      this.#posted++;
      this.#wake(worker, message.id);
      return;
    }
    const accident = this.#accidents.at(message.at, this.#posted);
    if (accident === "kill") this.#kill(worker, share);
    else if (accident === "stop") this.#stop(worker, message.id);
    else this.#go(worker);
  }

  /** The worker gets no answer, ever: it dies with the lock in its hands. */
  #kill(worker: string, share: number): void {
    this.#killed.add(worker);
    this.#note(worker, "killed");
    this.#processes.get(worker)?.kill("SIGKILL");
    this.#start(`${worker}'`, share);
  }

  #stop(worker: string, id: string): void {
    this.#sleeper = { worker, id };
    this.#note(worker, "stopped");
    // From here, so that it cannot come after the SIGCONT, however long the worker has to wait for a processor.
    this.#processes.get(worker)?.kill("SIGSTOP");
  }

  /** Not after some time, but when another has taken the execution over and posted it: then the sleeper's write is certainly late. */
  #wake(poster: string, id: string): void {
    if (this.#sleeper?.id !== id || this.#sleeper.worker === poster) return;
    const { worker } = this.#sleeper;
    this.#sleeper = undefined;
    this.#note(worker, "continued");
    this.#processes.get(worker)?.kill("SIGCONT");
    this.#go(worker);
  }

  #note(worker: string, event: "killed" | "stopped" | "continued"): void {
    new History(this.#job.histories, worker).note(event);
  }

  #go(worker: string): void {
    const process = this.#processes.get(worker);
    if (process !== undefined) send(process, { type: "go" });
  }
}

function send(process: ChildProcess, message: ToWorker): void {
  // A process that is gone cannot be told; its end is noticed and judged elsewhere.
  process.send(message, () => undefined);
}

function rotate(executions: readonly Execution[], by: number): Execution[] {
  return [...executions.slice(by), ...executions.slice(0, by)];
}
