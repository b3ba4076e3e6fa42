/** Starts the workers, keeps the registers for them, puts successors in the places of the dead, and sees them to their end. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { endWithThisProcess } from "@dlock-tooling/services";
import type { History } from "./history.js";
import type { FromWorker, Job, ToWorker } from "./messages.js";
import type { Registers } from "./register.js";
import type { Target } from "./target.js";

/** The same for all workers. */
type CommonJob = Omit<Job, "name" | "url" | "program">;

const workerFile = fileURLToPath(new URL("./worker.js", import.meta.url));
/** The longest wait of a task, and close(), on a busy machine; the longest hold comes to it. */
const patienceMs = 30_000;
const { env: ownEnv, argv } = process;
const [, program = ""] = argv;

export class Supervisor {
  /** What went wrong with the processes themselves. */
  readonly complaints: string[] = [];
  readonly #job: CommonJob;
  readonly #target: Pick<Target, "urls" | "clocks">;
  readonly #history: History;
  readonly #registers: Registers;
  readonly #workers: { name: string; process: ChildProcess; generation: number }[] = [];
  readonly #killed = new Set<string>();
  readonly #ends: Promise<void>[] = [];

  constructor(job: CommonJob, target: Pick<Target, "urls" | "clocks">, registers: Registers, history: History) {
    this.#job = job;
    this.#target = target;
    this.#registers = registers;
    this.#history = history;
  }

  get size(): number {
    return this.#target.urls.length;
  }

  start(): void {
    for (let place = 0; place < this.size; place++) this.#start(place, 1);
  }

  /** The name of the worker at a place, now. */
  nameAt(place: number): string {
    return this.#at(place).name;
  }

  /** SIGKILL, and a successor at the same place. */
  kill(place: number): void {
    const { name, process, generation } = this.#at(place);
    this.#killed.add(name);
    this.#history.note({ type: "fault", fault: "kill", target: name });
    process.kill("SIGKILL");
    this.#start(place, generation + 1);
  }

  stop(place: number): void {
    const { name, process } = this.#at(place);
    this.#history.note({ type: "fault", fault: "stop", target: name });
    process.kill("SIGSTOP");
  }

  continue(place: number): void {
    const { name, process } = this.#at(place);
    this.#history.note({ type: "fault", fault: "continue", target: name });
    process.kill("SIGCONT");
  }

  /** Tells all to come to an end; resolves when they have. */
  async end(): Promise<void> {
    for (const { process } of this.#workers) send(process, { type: "stop" });
    const endWithinMs = patienceMs + 3 * this.#job.ttlMs;
    const impatience = setTimeout(() => {
      for (const { name, process } of this.#workers) {
        if (process.exitCode !== null || process.signalCode !== null) continue;
        this.complaints.push(`${name} did not come to its end within ${endWithinMs / 1_000} s`);
        this.#killed.add(name);
        process.kill("SIGKILL");
      }
    }, endWithinMs);
    await Promise.all(this.#ends);
    clearTimeout(impatience);
  }

  /** Kills whoever has not come to an end. */
  abandon(): void {
    for (const { process } of this.#workers) if (process.exitCode === null && process.signalCode === null) process.kill("SIGKILL");
  }

  #start(place: number, generation: number): void {
    const name = `w${place + 1}${generation > 1 ? `.${generation}` : ""}`;
    const { urls, clocks } = this.#target;
    const process = fork(workerFile, { serialization: "json", env: { ...ownEnv, ...clocks[place]?.env } });
    this.#workers[place] = { name, process, generation };
    process.on("message", (message: FromWorker) => this.#onMessage(process, message));
    this.#ends.push(this.#ended(name, process));
    const seed = this.#job.seed + place * 1_000 + generation;
    send(process, { type: "job", job: { ...this.#job, name, url: urls[place] as string, program, seed } });
  }

  async #ended(name: string, process: ChildProcess): Promise<void> {
    const forget = process.pid === undefined ? () => {} : endWithThisProcess(process.pid);
    const [code, signal] = (await once(process, "exit")) as [number | null, string | null];
    forget();
    if (code !== 0 && !this.#killed.has(name)) this.complaints.push(`${name} ended with ${signal ?? `code ${code}`}`);
  }

  #onMessage(process: ChildProcess, message: FromWorker): void {
    const { type, id, key, token } = message;
    const answer = type === "read" ? this.#registers.read(key, token) : this.#registers.write(key, token, message.value);
    send(process, { type: "answer", id, ...answer });
  }

  #at(place: number): { name: string; process: ChildProcess; generation: number } {
    return this.#workers[place] as { name: string; process: ChildProcess; generation: number };
  }
}

function send(process: ChildProcess, message: ToWorker): void {
  // A process that is gone cannot be told; its end is noticed and judged elsewhere.
  if (process.connected) process.send(message, () => undefined);
}
