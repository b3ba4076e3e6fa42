/** Enough of them to move rarely, few enough to weigh nothing. */
const fewestGaps = 256;

/**
 * A map for keys that come and go, such as those of locks. A `Map` takes a new table at nearly every deletion while it is small, and each old
 * table points to the next: one that has outlived two collections keeps all its successors, with every key and value that was in them, until
 * the next full one. That garbage took up to half of a cycle. Here a deletion leaves a gap, and now and then what is left moves to a new map.
 */
export class TransientMap<V extends object> {
  #map = new Map<string, V | undefined>();
  #deletions = 0;

  get(key: string): V | undefined {
    return this.#map.get(key);
  }

  set(key: string, value: V): void {
    this.#map.set(key, value);
  }

  delete(key: string): void {
    this.#map.set(key, undefined);
    this.#deletions++;
    if (this.#deletions >= fewestGaps && this.#deletions * 2 >= this.#map.size) this.#move();
  }

  /** All that is in it, the oldest first; what is added or deleted meanwhile may be among it or not. */
  *entries(): Generator<[string, V]> {
    for (const [key, value] of this.#map) if (value !== undefined) yield [key, value];
  }

  #move(): void {
    const old = this.#map;
    this.#map = new Map();
    this.#deletions = 0;
    for (const [key, value] of old) if (value !== undefined) this.#map.set(key, value);
  }
}
