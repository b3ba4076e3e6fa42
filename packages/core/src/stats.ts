/** Counters and histograms of one provider. */

/** A snapshot; counts since the provider was made. */
export interface LockStats {
  /** Acquisitions that came to an end: granted, refused, timed out or failed. Each further hold of a lock (`reentrant`, `owner`) is one. */
  readonly total: number;
  /** Locks held now. */
  readonly active: number;
  /** Acquisitions that ended without a lock; waits aborted by the caller are not among them. */
  readonly failed: number;
  /** Locks lost because their lease ran out. */
  readonly expired: number;
  /** Locks lost for any reason. */
  readonly lost: number;
  /** Renewals that succeeded, by the renewer or by `refresh`. */
  readonly refreshCount: number;
  /** Locks given back by `unlock`. */
  readonly unlockCount: number;
  /** Attempts the server refused because someone else held the key. */
  readonly contended: number;
  /** Locks granted by a holder of this process, without the server. */
  readonly handOffs: number;
  /** Records of ended leases this provider swept away. */
  readonly swept: number;
  /** Acquisitions waiting now. */
  readonly waiting: number;
  /** `(total − failed) / total`; 0 before the first. */
  readonly successRate: number;
  /** How long granted acquisitions waited. */
  readonly waitMs: HistogramSnapshot;
  /** How long locks were held. */
  readonly holdMs: HistogramSnapshot;
}

export interface HistogramSnapshot {
  readonly count: number;
  readonly sumMs: number;
  readonly maxMs: number;
  /** Upper bounds of the buckets in ms, and how many values lie in each; the last bound is infinite. */
  readonly buckets: readonly { readonly upToMs: number; readonly count: number }[];
}

/** Powers of two from 1/16 ms to over an hour: fine enough for a quantile, cheap enough for every lock. */
const smallestExponent = -4;
const bucketCount = 27;

export class Histogram {
  readonly #counts = new Uint32Array(bucketCount);
  #count = 0;
  #sum = 0;
  #max = 0;

  add(ms: number): void {
    this.#count++;
    this.#sum += ms;
    if (ms > this.#max) this.#max = ms;
    const sixteenths = ms * 16;
    const slot =
      sixteenths <= 1 ? 0 : sixteenths >= 2 ** 30 ? bucketCount - 1 : Math.min(32 - Math.clz32(Math.ceil(sixteenths) - 1), bucketCount - 1);
    this.#counts[slot] = (this.#counts[slot] as number) + 1;
  }

  snapshot(): HistogramSnapshot {
    const buckets = Array.from(this.#counts, (count, slot) => ({
      upToMs: slot === bucketCount - 1 ? Number.POSITIVE_INFINITY : 2 ** (slot + smallestExponent),
      count,
    }));
    return { count: this.#count, sumMs: this.#sum, maxMs: this.#max, buckets };
  }
}

export class Stats {
  total = 0;
  active = 0;
  failed = 0;
  expired = 0;
  lost = 0;
  refreshCount = 0;
  unlockCount = 0;
  contended = 0;
  handOffs = 0;
  swept = 0;
  waiting = 0;
  readonly waitMs = new Histogram();
  readonly holdMs = new Histogram();

  snapshot(): LockStats {
    const { total, active, failed, expired, lost, refreshCount, unlockCount, contended, handOffs, swept, waiting } = this;
    return {
      total,
      active,
      failed,
      expired,
      lost,
      refreshCount,
      unlockCount,
      contended,
      handOffs,
      swept,
      waiting,
      successRate: total === 0 ? 0 : (total - failed) / total,
      waitMs: this.waitMs.snapshot(),
      holdMs: this.holdMs.snapshot(),
    };
  }
}
