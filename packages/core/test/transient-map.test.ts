import { expect, test } from "vitest";
import { TransientMap } from "../src/transient-map.ts";

interface Value {
  readonly n: number;
}

test("it holds what a Map would hold, however often keys come and go", () => {
  const map = new TransientMap<Value>();
  const model = new Map<string, Value>();
  let state = 1;
  for (let n = 0; n < 20_000; n++) {
    state = (state * 48_271) % 2_147_483_647;
    // Few enough keys for some to come back, and enough for the map to move when half of what it has is gone.
    const key = `key ${state % 700}`;
    expect(map.get(key)).toBe(model.get(key));
    if (state % 5 < 2) {
      map.set(key, { n });
      model.set(key, map.get(key) as Value);
    } else {
      map.delete(key);
      model.delete(key);
    }
  }
  expect(model.size).toBeGreaterThan(100);
  expect(new Map(map.entries())).toEqual(model);
});

test("whoever looks through it and deletes meanwhile sees all that stays, once", () => {
  const map = new TransientMap<Value>();
  for (let n = 0; n < 1_000; n++) map.set(`key ${n}`, { n });
  const seen: number[] = [];
  for (const [key, { n }] of map.entries()) {
    seen.push(n);
    if (n % 3 > 0) map.delete(key);
  }
  expect(seen).toEqual(Array.from({ length: 1_000 }, (_, n) => n));
  expect([...map.entries()].map(([, { n }]) => n)).toEqual(seen.filter((n) => n % 3 === 0));
});

test("keys that are gone do not pile up", () => {
  const map = new TransientMap<Value>();
  map.set("stays", { n: 0 });
  const before = heapUsed();
  for (let n = 0; n < 10_000; n++) {
    const key = `${n}`.padStart(10_000, "x");
    map.set(key, { n });
    map.delete(key);
  }
  // A hundred megabytes of keys went through.
  expect(heapUsed() - before).toBeLessThan(20e6);
  expect(map.get("stays")).toEqual({ n: 0 });
});

function heapUsed(): number {
  if (globalThis.gc === undefined) throw new Error("run node with --expose-gc");
  globalThis.gc();
  return process.memoryUsage().heapUsed;
}
