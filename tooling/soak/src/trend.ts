/**
 * Whether a series of samples grows: the median of the slopes between all pairs (Theil 1950, Sen 1968), which a few outliers do not move, and
 * the interval in which it lies with 99 % confidence, from the number of pairs that rise and fall (Kendall).
 */

export interface Sample {
  readonly operations: number;
  readonly heapBytes: number;
}

export interface Trend {
  /** Bytes for each operation: the median slope, and the least and the most it may be. */
  readonly slope: number;
  readonly least: number;
  readonly most: number;
  /** How much of the heap was added between the first sample and the last, by the least slope; by the median one. */
  readonly leastGrowth: number;
  readonly growth: number;
  readonly flat: boolean;
}

/** The z of 99 %, both sides. */
const confidence = 2.576;
/**
 * The engine goes on compiling, and gathering what it learns of types, for an hour and more: snapshots of the heap show that, and it comes to a
 * few percent. A leak has no end.
 */
export const tolerated = 0.1;
/** With fewer no interval of 99 % excludes anything. */
export const fewestSamples = 8;

/** Grows only when even the least slope comes to more than is tolerated: for noise nobody is accused. */
export function trendOf(samples: readonly Sample[]): Trend {
  if (samples.length < fewestSamples) throw new RangeError(`a trend needs ${fewestSamples} samples, got ${samples.length}`);
  const slopes: number[] = [];
  for (const [i, earlier] of samples.entries())
    for (const later of samples.slice(i + 1)) slopes.push((later.heapBytes - earlier.heapBytes) / (later.operations - earlier.operations));
  slopes.sort((one, other) => one - other);
  const n = samples.length;
  const spread = confidence * Math.sqrt((n * (n - 1) * (2 * n + 5)) / 18);
  const at = (place: number) => slopes[Math.min(Math.max(Math.round(place), 0), slopes.length - 1)] as number;
  const [slope, least, most] = [at((slopes.length - 1) / 2), at((slopes.length - spread) / 2), at((slopes.length + spread) / 2 - 1)];
  const heaps = samples.map(({ heapBytes }) => heapBytes).sort((one, other) => one - other);
  const operations = (samples.at(-1) as Sample).operations - (samples[0] as Sample).operations;
  const growthAt = (bytes: number) => (bytes * operations) / (heaps[Math.floor(n / 2)] as number);
  return { slope, least, most, growth: growthAt(slope), leastGrowth: growthAt(least), flat: growthAt(least) <= tolerated };
}
