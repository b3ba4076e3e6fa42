/** Looks at every grant from outside, on true time: does anyone else believe to hold what was granted, and does its token grow? */
import type { Lock } from "../../src/index.ts";

export interface Hold {
  readonly lock: Lock;
  readonly client: string;
  readonly mode: "exclusive" | "shared";
  readonly limit: number | undefined;
  /** Holds of one owner that the user gave are one holder. */
  readonly holder: string;
}

export class Judge {
  readonly faults: string[] = [];
  grants = 0;
  readonly #holds = new Map<string, Set<Hold>>();
  readonly #newest = new Map<string, { token: bigint; holder: string }>();
  readonly #log: string[] = [];
  /** True time. */
  readonly now: () => number;

  constructor(now: () => number) {
    this.now = now;
  }

  note(what: string): void {
    this.#log.push(`${this.now().toFixed(1).padStart(10)}  ${what}`);
  }

  /** What happened, for a failure's report. */
  get log(): readonly string[] {
    return this.#log;
  }

  blame(what: string): void {
    this.faults.push(what);
    this.note(`FAULT ${what}`);
  }

  granted(key: string, hold: Hold): void {
    this.grants++;
    const { lock, client, mode } = hold;
    this.note(`${client} granted ${key} ${mode}${hold.limit ?? ""} token ${lock.token} remaining ${lock.remainingMs.toFixed(1)}`);
    let holds = this.#holds.get(key);
    if (holds === undefined) {
      holds = new Set();
      this.#holds.set(key, holds);
    }
    const others = [...holds].filter((other) => other.lock.isHeld && other.holder !== hold.holder);
    if (lock.isHeld) this.#judgeExclusion(key, hold, others);
    this.#judgeToken(key, hold, others);
    holds.add(hold);
  }

  ended(key: string, hold: Hold, how: string): void {
    this.note(`${hold.client} ${how} ${key} token ${hold.lock.token}`);
    this.#holds.get(key)?.delete(hold);
  }

  #judgeExclusion(key: string, hold: Hold, others: readonly Hold[]): void {
    const excluding = others.find((other) => other.mode === "exclusive" || hold.mode === "exclusive");
    if (excluding !== undefined)
      this.blame(`${hold.client} was granted ${key} (${hold.mode}) while ${excluding.client} believes to hold it (${excluding.mode})`);
    // A limit concerns those granted before; the news of a later grant may travel faster.
    const earlier = new Set(others.filter((other) => other.lock.token < hold.lock.token).map((other) => other.holder));
    if (hold.limit !== undefined && earlier.size >= hold.limit)
      this.blame(`${hold.client} is holder ${earlier.size + 1} of ${key}, limit ${hold.limit}`);
  }

  /** Shared holders are told apart by token too, but only an exclusive one is later than all before it. */
  #judgeToken(key: string, { lock, client, mode, holder }: Hold, others: readonly Hold[]): void {
    const newest = this.#newest.get(key) ?? { token: -1n, holder: "" };
    const reentered = lock.token === newest.token && holder === newest.holder;
    if (mode === "exclusive" && lock.token <= newest.token && !reentered)
      this.blame(`${client} was granted ${key} with token ${lock.token} after ${newest.token}`);
    if (others.some((other) => other.lock.token === lock.token)) this.blame(`two holders of ${key} have the token ${lock.token}`);
    if (lock.token > newest.token) this.#newest.set(key, { token: lock.token, holder });
  }
}
