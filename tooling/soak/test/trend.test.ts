/** The verdict must clear a heap that only trembles, and convict one that keeps a little of each operation. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fewestSamples, type Sample, trendOf } from "../src/trend.ts";

const operationsBetween = 18_000;

/** Readings that grow by `leak` bytes for each operation, each off by what `noise` says. */
function readings(leak: number, noise: readonly number[]): Sample[] {
  return noise.map((off, i) => ({ operations: i * operationsBetween, heapBytes: 8_000_000 + leak * i * operationsBetween + off }));
}

const noiseOf = (bytes: number) => fc.array(fc.integer({ min: -bytes, max: bytes }), { minLength: 20, maxLength: 60 });

describe("a heap", () => {
  test("that grows by 24 bytes for each operation is told from one that trembles by 100 KB", () => {
    fc.assert(
      fc.property(noiseOf(100_000), (noise) => {
        const { flat, slope, least, most } = trendOf(readings(24, noise));
        expect(flat).toBe(false);
        expect(slope).toBeGreaterThan(12);
        expect(slope).toBeLessThan(36);
        expect(least).toBeLessThanOrEqual(slope);
        expect(most).toBeGreaterThanOrEqual(slope);
      }),
    );
  });

  test("that shrinks, or stands still, is flat", () => {
    expect(trendOf(readings(0, Array(20).fill(0))).flat).toBe(true);
    expect(trendOf(readings(-24, Array(20).fill(0))).flat).toBe(true);
  });

  test("with a few readings far off is judged by the others", () => {
    const calm = Array<number>(30).fill(0);
    calm[7] = 50_000_000;
    calm[29] = 80_000_000;
    expect(trendOf(readings(0, calm)).flat).toBe(true);
    expect(trendOf(readings(24, calm)).flat).toBe(false);
  });

  test("that trembles evenly is flat whichever way it happens to end", () => {
    const trembling = Array.from({ length: 40 }, (_, i) => [0, 60_000, -40_000, 20_000, -50_000][i % 5] as number);
    for (const end of [20, 21, 22, 23, 24, 40]) expect(trendOf(readings(0, trembling.slice(0, end))).flat).toBe(true);
  });

  test("read too seldom has no trend", () => {
    expect(() => trendOf(readings(0, Array(fewestSamples - 1).fill(0)))).toThrow(RangeError);
    expect(trendOf(readings(24, Array(fewestSamples).fill(0))).flat).toBe(false);
  });
});
