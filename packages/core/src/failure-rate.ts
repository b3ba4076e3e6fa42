/** Tells when too many acquisitions of late have failed, and when that is over: what an alert hangs on. */

export interface FailureRateOptions {
  /** Effect: tell when more than this share fails. Range: 0 to 1. @default 0.5 */
  threshold?: number;
  /** Effect: what "of late" means. Unit: ms. Range: 1 to 2^31 − 1. @default 60,000 */
  windowMs?: number;
  /** Effect: fewer acquisitions than this in the window say nothing. Range: 1 to 2^31 − 1. @default 10 */
  least?: number;
}

export interface FailureRate {
  /** `failed / total` in the window. */
  readonly rate: number;
  readonly total: number;
  readonly failed: number;
  /** True when the threshold was just passed, false when the rate has come down again. */
  readonly over: boolean;
}

/** The window is counted in this many parts; the oldest part leaves as a whole. */
const parts = 10;

export class FailureRateMeter {
  readonly #options: Required<FailureRateOptions>;
  readonly #tell: (rate: FailureRate) => void;
  readonly #totals = new Array<number>(parts).fill(0);
  readonly #failures = new Array<number>(parts).fill(0);
  #part = 0;
  #over = false;

  constructor(options: Required<FailureRateOptions>, tell: (rate: FailureRate) => void) {
    this.#options = options;
    this.#tell = tell;
  }

  add(failed: boolean, now: number): void {
    this.#moveTo(Math.floor((now * parts) / this.#options.windowMs));
    const slot = this.#part % parts;
    this.#totals[slot] = (this.#totals[slot] as number) + 1;
    if (failed) this.#failures[slot] = (this.#failures[slot] as number) + 1;
    this.#judge();
  }

  #moveTo(part: number): void {
    // At most once round: after that every part is empty anyway.
    for (let each = Math.max(this.#part + 1, part - parts + 1); each <= part; each++) {
      this.#totals[each % parts] = 0;
      this.#failures[each % parts] = 0;
    }
    this.#part = part;
  }

  #judge(): void {
    const total = this.#totals.reduce((sum, count) => sum + count, 0);
    const failed = this.#failures.reduce((sum, count) => sum + count, 0);
    if (total < this.#options.least) return;
    const rate = failed / total;
    const over = rate > this.#options.threshold;
    if (over === this.#over) return;
    this.#over = over;
    this.#tell({ rate, total, failed, over });
  }
}
