/** True time, what happens at which moment of it, and the clients: each with a clock that runs a little fast or slow, and each can be paused. */
import type { Clock, Timer } from "../../src/index.ts";

interface Happening {
  readonly at: number;
  readonly order: number;
  readonly client: Client | undefined;
  readonly run: () => void;
  cancelled: boolean;
}

export class World {
  /** True milliseconds. */
  now = 0;
  #order = 0;
  readonly #heap: Happening[] = [];

  /** Something happens `inMs` from now; if it concerns a client that is paused then, when the client goes on. */
  after(inMs: number, run: () => void, client?: Client): Happening {
    const happening = { at: this.now + Math.max(inMs, 0), order: this.#order++, client, run, cancelled: false };
    this.#push(happening);
    return happening;
  }

  /** Lets the world go on until `until` or until nothing is left to happen. */
  async run(until: number): Promise<void> {
    await settle();
    for (let next = this.#heap[0]; next !== undefined && next.at <= until; next = this.#heap[0]) {
      this.#pop();
      if (next.cancelled) continue;
      this.now = Math.max(this.now, next.at);
      const resumesAt = next.client?.pausedUntil ?? 0;
      if (resumesAt > this.now) {
        this.#push({ ...next, at: resumesAt });
        // Timers can be cancelled by what runs before them at the end of the pause.
        next.cancelled = true;
        continue;
      }
      next.run();
      // What only moves a message on the network leaves no promise behind.
      if (next.client !== undefined) await settle();
    }
    this.now = Math.max(this.now, until);
  }

  #push(happening: Happening): void {
    const heap = this.#heap;
    let slot = heap.length;
    heap.push(happening);
    while (slot > 0) {
      const above = (slot - 1) >> 1;
      const parent = heap[above] as Happening;
      if (before(parent, happening)) break;
      heap[slot] = parent;
      slot = above;
    }
    heap[slot] = happening;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Happening;
    if (heap.length === 0) return;
    let slot = 0;
    for (;;) {
      let below = 2 * slot + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && before(heap[below + 1] as Happening, heap[below] as Happening)) below++;
      const child = heap[below] as Happening;
      if (before(last, child)) break;
      heap[slot] = child;
      slot = below;
    }
    heap[slot] = last;
  }
}

function before(one: Happening, other: Happening): boolean {
  return one.at < other.at || (one.at === other.at && one.order < other.order);
}

/** Every promise that can settle without time passing has settled. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** One process: while it is paused nothing of it runs, and its clock goes on. */
export class Client implements Clock {
  readonly name: string;
  pausedUntil = 0;
  readonly #world: World;
  /** How many of its own milliseconds pass in a true one. */
  readonly #rate: number;
  readonly #offset: number;

  constructor(world: World, name: string, rate: number, offset: number) {
    this.#world = world;
    this.name = name;
    this.#rate = rate;
    this.#offset = offset;
  }

  now(): number {
    return this.#offset + this.#world.now * this.#rate;
  }

  date(): Date {
    return new Date(this.now());
  }

  setTimer(run: () => void, ms: number): Timer {
    // A paused client keeps its happenings under new names, so the timer itself remembers that it was cancelled.
    let cancelled = false;
    const happening = this.#world.after(
      ms / this.#rate,
      () => {
        if (!cancelled) run();
      },
      this,
    );
    return {
      cancel: () => {
        cancelled = true;
        happening.cancelled = true;
      },
      keepAlive: () => {},
    };
  }

  /** Resolves after `ms` of its own time. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.setTimer(resolve, ms));
  }

  /** Runs `work` as this client, `inMs` of true time from now. */
  do(inMs: number, work: () => void): void {
    this.#world.after(inMs, work, this);
  }
}
