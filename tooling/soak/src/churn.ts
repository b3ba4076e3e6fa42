/** Operations of random kinds, many under way at a time, and the moments of rest between them, when what is retained can be told. */
import { setTimeout as sleep } from "node:timers/promises";
import type { LockProvider } from "@dlock/core";
import { type Ground, kinds } from "./kinds.js";

const hotKeys = 8;
/** Longer than any operation takes, and than the first renewal after a collection, which finds a dropped handle. */
const restWithinMs = 30_000;

export class Churn {
  /** How many operations of each kind have begun. */
  readonly counts = new Map<string, number>();
  operations = 0;
  readonly #open: () => Promise<LockProvider>;
  readonly #prefix: string;
  readonly #signal = new AbortController().signal;
  readonly #running = new Set<Promise<unknown>>();
  readonly #names = Object.entries(kinds).flatMap(([name, { weight }]) => Array<string>(weight).fill(name));
  #providers: LockProvider[] = [];
  #failure: Error | undefined;

  /** @param prefix of all keys. */
  constructor(open: () => Promise<LockProvider>, prefix: string) {
    this.#open = open;
    this.#prefix = prefix;
  }

  /** Two providers, so that keys pass from one to the other over the backend. */
  async begin(): Promise<void> {
    this.#providers = [await this.#open(), await this.#open()];
    await this.#providers[0]?.lock(this.#busy, { owner: this.#prefix });
  }

  get running(): number {
    return this.#running.size;
  }

  /** Begins one operation. @throws what an earlier one failed with. */
  next(): void {
    if (this.#failure !== undefined) throw this.#failure;
    const name = this.#names[Math.floor(Math.random() * this.#names.length)] as string;
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
    const ended: Promise<unknown> = this.#run(name, this.#ground(this.operations++)).finally(() => this.#running.delete(ended));
    this.#running.add(ended);
  }

  /** Until nothing is under way, waited for or held, but for the key that is held all the time. @throws what an operation failed with. */
  async rest(collect: () => void): Promise<void> {
    for (let waitedMs = 0; this.running > 0 || this.#held() !== 1 || this.#waiting() !== 0; waitedMs += 50) {
      if (waitedMs > restWithinMs)
        throw new Error(
          `${this.running} operations, ${this.#held() - 1} locks and ${this.#waiting()} waits are left after ${waitedMs} ms of rest`,
        );
      collect();
      await sleep(50);
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  async end(): Promise<void> {
    await Promise.all(this.#providers.map((locks) => locks.close()));
  }

  #held(): number {
    return this.#providers.reduce((sum, locks) => sum + locks.stats().active, 0);
  }

  #waiting(): number {
    return this.#providers.reduce((sum, locks) => sum + locks.stats().waiting, 0);
  }

  async #run(name: string, ground: Ground): Promise<void> {
    try {
      await kinds[name]?.run(ground);
    } catch (error) {
      this.#failure ??= new Error(`${name}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  }

  #ground(turn: number): Ground {
    let used = 0;
    return {
      locks: this.#providers[turn % 2] as LockProvider,
      other: this.#providers[(turn + 1) % 2] as LockProvider,
      open: this.#open,
      signal: this.#signal,
      busy: this.#busy,
      hot: () => `${this.#prefix} hot ${Math.floor(Math.random() * hotKeys)}`,
      fresh: () => `${this.#prefix} ${turn} ${used++}`,
    };
  }

  get #busy(): string {
    return `${this.#prefix} busy`;
  }
}
