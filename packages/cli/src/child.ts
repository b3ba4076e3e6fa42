/** The command that runs under the lock: started with our stdio, signalled, ended, and asked how it ended. */
import { type ChildProcess, spawn } from "node:child_process";
import { systemClock } from "@dlock/core";
import { exitCodes } from "./exit-codes.js";
import { complain, name } from "./show.js";
import { exitCodeOfSignal } from "./signals.js";

export class Child {
  /** The command's exit code; 128 + n when signal n ended it; 126 or 127 when it could not be started. */
  readonly ended: Promise<number>;
  readonly #process: ChildProcess | undefined;

  constructor(command: string, args: readonly string[], env: NodeJS.ProcessEnv) {
    try {
      this.#process = spawn(command, args, { stdio: "inherit", env });
      this.ended = endOf(this.#process, command);
    } catch (error) {
      // Most reasons not to start come as an event; some, such as arguments that are too long, are thrown.
      this.ended = Promise.resolve(notStarted(command, error as NodeJS.ErrnoException));
    }
  }

  signal(signal: NodeJS.Signals): void {
    this.#process?.kill(signal);
  }

  /** Asks it to end, and insists after `graceMs`. */
  end(graceMs: number): void {
    this.signal("SIGTERM");
    const kill = systemClock.setTimer(() => this.signal("SIGKILL"), graceMs, false);
    this.#process?.once("exit", () => kill.cancel());
  }
}

function endOf(child: ChildProcess, command: string): Promise<number> {
  return new Promise((resolve) => {
    child.once("exit", (code, signal) => resolve(signal === null ? (code ?? 0) : exitCodeOfSignal(signal)));
    child.on("error", (error) => {
      if (child.pid === undefined) resolve(notStarted(command, error));
      else complain(`could not signal ${name(command)}: ${error.message}`);
    });
  });
}

function notStarted(command: string, error: NodeJS.ErrnoException): number {
  const absent = error.code === "ENOENT";
  complain(`${name(command)}: ${absent ? "command not found" : error.message}`);
  return absent ? exitCodes.notFound : exitCodes.notExecutable;
}
