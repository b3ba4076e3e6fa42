/** A process of its own with a driver of its own, driven over IPC. It loads the built package, as users do. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";

const script = fileURLToPath(new URL("./process-main.mjs", import.meta.url));

export class Peer {
  readonly child: ChildProcess;
  #calls = 0;
  readonly #pending = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();

  /** Killed after the test that starts it, stopped or not. */
  static async start(path: string, env: NodeJS.ProcessEnv = {}): Promise<Peer> {
    const child = fork(script, [path], { serialization: "advanced", env: { ...process.env, ...env }, execArgv: [] });
    onTestFinished(() => void child.kill("SIGKILL"));
    await once(child, "message");
    return new Peer(child);
  }

  private constructor(child: ChildProcess) {
    this.child = child;
    child.on("message", (message) => {
      const { id, value, error } = message as { id: number; value?: unknown; error?: string };
      const call = this.#pending.get(id);
      this.#pending.delete(id);
      if (error === undefined) call?.resolve(value);
      else call?.reject(new Error(error));
    });
    child.on("exit", (code, signal) => {
      for (const { reject } of this.#pending.values()) reject(new Error(`the process ended: ${code ?? signal}`));
      this.#pending.clear();
    });
  }

  /** Calls one of the functions of process-main.mjs. */
  // biome-ignore lint/suspicious/noExplicitAny: the script is plain JavaScript; each test knows what it asked for
  call(name: string, ...args: unknown[]): Promise<any> {
    this.#calls += 1;
    const id = this.#calls;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.child.send({ id, name, args });
    });
  }

  async kill(): Promise<void> {
    const exit = once(this.child, "exit");
    this.child.kill("SIGKILL");
    await exit;
  }
}
