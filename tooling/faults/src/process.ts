/** A program under test in a process of its own: its lines are read, and it can be stopped, continued and killed. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { endWithThisProcess } from "@dlock-tooling/services";

export interface Program {
  readonly pid: number;
  /** Every line it has written so far, of both outputs. */
  readonly lines: readonly string[];
  /** The first line, past or future, that matches; rejects when the program ends without it. */
  line(pattern: RegExp): Promise<string>;
  /** Writes a line to its standard input. */
  say(line: string): void;
  /** SIGSTOP. */
  pause(): void;
  /** SIGCONT. */
  resume(): void;
  /** Sends a signal (SIGKILL unless another is given) and resolves when the program has ended. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** How it ended, once it has. */
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
}

/** Runs `node file ...args`. The program never outlives the test process. */
export function runNode(file: string, args: readonly string[] = [], env: Readonly<Record<string, string>> = {}): Program {
  const child = spawn(process.execPath, [file, ...args], { stdio: ["pipe", "pipe", "pipe"], env: { ...process.env, ...env } });
  const { pid } = child;
  if (pid === undefined) throw new Error(`${process.execPath} could not be started`);
  const forget = endWithThisProcess(pid);
  const lines: string[] = [];
  const listeners = new Set<() => void>();
  const notify = () => {
    for (const listener of [...listeners]) listener();
  };
  for (const input of [child.stdout, child.stderr]) {
    createInterface({ input }).on("line", (line) => {
      lines.push(line);
      notify();
    });
  }
  // A program that has ended reads no more; `ended` tells.
  child.stdin.on("error", () => {});
  let over = false;
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    // "close" rather than "exit": by then all its lines have been read.
    child.once("close", (code, signal) => {
      over = true;
      forget();
      resolve({ code, signal });
      notify();
    });
  });
  return {
    pid,
    lines,
    ended,
    line: (pattern) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const found = lines.find((line) => pattern.test(line));
          if (found === undefined && !over) return;
          listeners.delete(look);
          if (found !== undefined) resolve(found);
          else reject(new Error(`the program ended without a line that matches ${pattern}; it wrote:\n${lines.join("\n")}`));
        };
        listeners.add(look);
        look();
      }),
    say(line) {
      child.stdin.write(`${line}\n`);
    },
    pause() {
      child.kill("SIGSTOP");
    },
    resume() {
      child.kill("SIGCONT");
    },
    async kill(signal = "SIGKILL") {
      child.kill(signal);
      await ended;
    },
  };
}
