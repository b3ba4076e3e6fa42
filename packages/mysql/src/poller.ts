/** Wakes waiters: one query for all watched keys of this driver, often while something happens, seldom while nothing does; none when nobody waits. */
import { systemClock, type Timer } from "@dlock/core";
import type { Run } from "./sessions.js";
import { between, list, now, type Tables } from "./sql.js";

const shortestMs = 5;
const longestMs = 250;
/** After how long a wait the intervals are how long: after 200 ms every 10 ms, after 5 s every 250 ms. */
const share = 1 / 20;

interface Watched {
  readonly wakes: Set<() => void>;
  holders: number | undefined;
}

export class Poller {
  readonly #names: Tables;
  readonly #ask: <T>(work: (run: Run) => Promise<T>) => Promise<T>;
  readonly #keys = new Map<string, Watched>();
  #timer: Timer | undefined;
  #looking = false;
  #changedAt = 0;

  constructor(names: Tables, ask: <T>(work: (run: Run) => Promise<T>) => Promise<T>) {
    this.#names = names;
    this.#ask = ask;
  }

  watch(key: string, wake: () => void): () => void {
    let watched = this.#keys.get(key);
    if (watched === undefined) {
      watched = { wakes: new Set(), holders: undefined };
      this.#keys.set(key, watched);
    }
    // A function of its own for each watch: two watches may share one callback.
    const call = () => wake();
    const { wakes } = watched;
    wakes.add(call);
    this.#changedAt = systemClock.now();
    this.#schedule(shortestMs);
    return () => {
      wakes.delete(call);
      if (wakes.size === 0 && this.#keys.get(key)?.wakes === wakes) this.#keys.delete(key);
      if (this.#keys.size === 0) this.#timer?.cancel();
    };
  }

  close(): void {
    this.#keys.clear();
    this.#timer?.cancel();
  }

  #schedule(ms: number): void {
    if (this.#looking || this.#keys.size === 0) return;
    this.#timer?.cancel();
    this.#timer = systemClock.setTimer(() => void this.#look(), ms, false);
  }

  async #look(): Promise<void> {
    this.#looking = true;
    let nextMs = longestMs;
    try {
      const soonestEndMs = await this.#wakeFree();
      const quietMs = systemClock.now() - this.#changedAt;
      nextMs = Math.min(Math.max(quietMs * share, shortestMs), longestMs, Math.max(soonestEndMs + 1, shortestMs));
    } catch {
      // A hint that does not come: whoever waits tries again without it, and learns from that try why the server cannot be asked.
    }
    this.#looking = false;
    this.#schedule(nextMs);
  }

  /** In how many milliseconds the next lease ends by itself. */
  async #wakeFree(): Promise<number> {
    const asked = [...this.#keys.keys()];
    const { rows } = await this.#ask((run) => run(this.#query(asked)));
    const states = new Map(rows.map(([key, leaseUs, holders, holderUs]) => [String(key), [leaseUs, holders, holderUs].map(Number)]));
    let soonestEndMs = Number.POSITIVE_INFINITY;
    for (const key of asked) {
      const watched = this.#keys.get(key);
      if (watched === undefined) continue;
      const [leaseUs = 0, holders = 0, holderUs = 0] = states.get(key) ?? [];
      const before = watched.holders;
      watched.holders = leaseUs > 0 ? undefined : holders;
      if (leaseUs > 0) soonestEndMs = Math.min(soonestEndMs, leaseUs / 1_000);
      if (holders > 0) soonestEndMs = Math.min(soonestEndMs, holderUs / 1_000);
      // Free; or an exclusive lease gave way to shared ones; or there are fewer of these.
      if (leaseUs > 0 || (holders > 0 && before !== undefined && holders >= before)) continue;
      this.#changedAt = systemClock.now();
      for (const wake of [...watched.wakes]) wake();
    }
    return soonestEndMs;
  }

  #query(keys: readonly string[]): string {
    const { leases, holders } = this.#names;
    const living = (what: string) =>
      `IF(k.shared, (SELECT ${what} FROM ${holders} h FORCE INDEX (PRIMARY) WHERE h.lock_key = k.lock_key AND h.expires_at > ${now}), 0)`;
    return (
      `SELECT k.lock_key, ${between(now, "k.expires_at")}, ${living("COUNT(*)")}, ${living(`COALESCE(MIN(${between(now, "h.expires_at")}), 0)`)} ` +
      `FROM ${leases} k FORCE INDEX (PRIMARY) WHERE k.lock_key IN (${list(keys)})`
    );
  }
}
