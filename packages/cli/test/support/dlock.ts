/** Runs the built command in a folder of its own, and waits for what it says and how it ends. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { createLockProvider, type LockProvider } from "@dlock/core";
import { sqliteDriver } from "@dlock/sqlite";
import { onTestFinished } from "vitest";

export const main = fileURLToPath(new URL("../../dist/bundle/main.js", import.meta.url));

/** A new folder with the file that the command uses by default; gone after the test. */
export class Folder {
  readonly path = mkdtempSync(join(tmpdir(), "dlock-cli-"));

  constructor() {
    onTestFinished(() => rmSync(this.path, { recursive: true }));
  }

  /** Another client of the same locks, to look with and to stand in the way. */
  locks(): LockProvider {
    const locks = createLockProvider(sqliteDriver(join(this.path, "dlock.db")));
    onTestFinished(() => locks.close());
    return locks;
  }

  start(...args: string[]): Dlock {
    return new Dlock(this.path, args);
  }

  /** Runs to the end. */
  async run(...args: string[]): Promise<{ exitCode: number | null; stdout: string; stderr: string }> {
    const dlock = this.start(...args);
    return { exitCode: await dlock.ended, stdout: dlock.stdout, stderr: dlock.stderr };
  }
}

export class Dlock {
  stdout = "";
  stderr = "";
  /** The exit code; null when a signal ended dlock itself. */
  readonly ended: Promise<number | null>;
  readonly #process: ChildProcessWithoutNullStreams;

  constructor(cwd: string, args: readonly string[]) {
    this.#process = spawn(process.execPath, [main, ...args], { cwd, stdio: "pipe" });
    this.#process.stdout.setEncoding("utf8").on("data", (text: string) => {
      this.stdout += text;
    });
    this.#process.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
    });
    this.ended = once(this.#process, "close").then(([code]) => code as number | null);
    onTestFinished(() => void this.#process.kill("SIGKILL"));
  }

  /** Waits until the command has said `text`. */
  async said(text: string): Promise<void> {
    while (!this.stdout.includes(text)) {
      if (this.#process.stdout.readableEnded) throw new Error(`ended without saying ${text}: ${this.stdout}${this.stderr}`);
      await Promise.race([once(this.#process.stdout, "data"), once(this.#process.stdout, "end")]);
    }
  }

  type(line: string): void {
    this.#process.stdin.write(`${line}\n`);
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** Waits until dlock catches SIGHUP, which Node by itself does not: nothing else shows that it is about to wait. */
  async catchesSignals(): Promise<void> {
    const sighup = 1n;
    for (;;) {
      const [, caught] = /^SigCgt:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${this.#process.pid}/status`, "utf8")) ?? [];
      if ((BigInt(`0x${caught}`) & sighup) !== 0n) return;
      await sleep(5);
    }
  }
}
