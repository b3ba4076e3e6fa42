/**
 * Waits that can never end. A context that waits for what it holds is told at once. With `detectDeadlocks` circles of several contexts of
 * this process are found too, and keys taken in both orders are reported before they ever meet.
 */
import type { Acquisition } from "./acquire.js";
import { currentScope, type Scope, scopesHolding } from "./context.js";
import { DeadlockError } from "./errors.js";
import type { Events } from "./events.js";
import type { AcquireSpec } from "./options.js";

/**
 * @throws DeadlockError when this context holds the key in a way that keeps the wait from ever ending.
 */
export function refuseSelfDeadlock(provider: object, key: string, spec: AcquireSpec): void {
  const holding = scopesHolding(provider, key);
  const [innermost] = holding;
  if (innermost === undefined) return;
  if (blocks(innermost, spec) || (spec.limit !== undefined && holding.length >= spec.limit)) {
    throw new DeadlockError(
      key,
      `this very context holds it as ${innermost.lock.owner}, taken ${whereTaken(innermost)}; use reentrant: true to take it again, or detached: true for a task that the holder does not wait for`,
    );
  }
}

/** More pairs of keys than any program orders by hand; the oldest give way. */
const rememberedPairs = 1_000;

/** The circles and inversions of one provider. */
export class DeadlockDetector {
  readonly #events: Events;
  readonly #held = new Map<string, Set<Scope>>();
  /** Oldest first, with what it is inside of. */
  readonly #waiting = new Map<Acquisition, Scope | undefined>();
  /** Where a key was first taken inside of another. */
  readonly #orders = new Map<string, string>();

  constructor(events: Events) {
    this.#events = events;
  }

  /** Where the caller of dlock is, as a line of its stack. */
  static where(): string {
    const { stack = "" } = new Error();
    const caller = stack.split("\n").find((line) => /:\d+:\d+\)?$/.test(line) && !line.includes(ownFolder) && !line.includes("node:"));
    return caller?.trim() ?? "in an unknown place";
  }

  /** Nobody waits inside of it yet, so this closes no circle. */
  entered(scope: Scope): void {
    const scopes = this.#held.get(scope.key) ?? new Set();
    this.#held.set(scope.key, scopes);
    scopes.add(scope);
  }

  left(scope: Scope): void {
    const scopes = this.#held.get(scope.key);
    scopes?.delete(scope);
    if (scopes?.size === 0) this.#held.delete(scope.key);
  }

  /** A key is asked for inside of the present scope, if there is one. */
  asks(key: string): void {
    const scope = currentScope();
    if (scope !== undefined) this.#noteOrder(scope, key);
  }

  /** An acquisition begins; one that does not wait closes no circle. */
  waits(acquisition: Acquisition): void {
    const { spec } = acquisition;
    if (spec.waitMs === 0) return;
    const scope = spec.detached ? undefined : currentScope();
    this.#waiting.set(acquisition, scope);
    acquisition.whenSettled = () => this.#waiting.delete(acquisition);
    // The gate must have had its say first: a free key is no wait.
    if (scope !== undefined) queueMicrotask(() => this.#breakCircle(acquisition));
  }

  #breakCircle(acquisition: Acquisition): void {
    const keys = this.#circleOf(acquisition);
    if (keys === undefined) return;
    const error = new DeadlockError(acquisition.key, `a circle of waiters: ${keys.map((key) => JSON.stringify(key)).join(" → ")}`);
    this.#events.emit("deadlock", { kind: "circle", keys, where: [...this.#whereHeld(keys)] });
    this.#waiting.delete(acquisition);
    acquisition.fail(error);
  }

  /** The keys on the way from what is waited for back to what this waiter holds. */
  #circleOf(acquisition: Acquisition): string[] | undefined {
    const start = this.#waiting.get(acquisition);
    if (start === undefined) return undefined;
    const mine = new Set(chainOf(start));
    const seen = new Set<Acquisition>();
    const follow = (waiter: Acquisition, way: readonly string[]): string[] | undefined => {
      const { key } = waiter;
      if (seen.has(waiter)) return undefined;
      seen.add(waiter);
      const behindWriter = waiter.spec.mode === "shared" && this.#isBehindWriter(waiter);
      for (const holder of this.#held.get(key) ?? []) {
        if (!holder.lock.isHeld || !(behindWriter || blocks(holder, waiter.spec))) continue;
        if (mine.has(holder)) return [...way, key];
        for (const [other, scope] of this.#waiting) {
          if (scope === undefined || !chainOf(scope).includes(holder)) continue;
          const circle = follow(other, [...way, key]);
          if (circle !== undefined) return circle;
        }
      }
      return undefined;
    };
    return follow(acquisition, []);
  }

  /** A reader in line behind a writer waits for whatever the writer waits for: other readers too. */
  #isBehindWriter(reader: Acquisition): boolean {
    for (const other of this.#waiting.keys()) {
      if (other === reader) break;
      if (other.key === reader.key && other.spec.mode === "exclusive") return true;
    }
    return false;
  }

  *#whereHeld(keys: readonly string[]): Iterable<string> {
    for (const key of keys) for (const { where } of this.#held.get(key) ?? []) yield `${key}: ${where ?? "unknown"}`;
  }

  /** One program order of two keys and, elsewhere, the other: told once, since it will be a deadlock one day. */
  #noteOrder(scope: Scope, taken: string): void {
    let where: string | undefined;
    for (const { key, lock } of chainOf(scope)) {
      // A task may outlive the body that started it: what is not held any more is in no order to what comes after.
      if (key === taken || !lock.isHeld) continue;
      if (this.#orders.has(pairOf(key, taken))) continue;
      where ??= DeadlockDetector.where();
      const inverse = this.#orders.get(pairOf(taken, key));
      if (this.#orders.size >= rememberedPairs) this.#orders.delete(this.#orders.keys().next().value as string);
      this.#orders.set(pairOf(key, taken), where);
      if (inverse !== undefined) this.#events.emit("deadlock", { kind: "inversion", keys: [key, taken], where: [where, inverse] });
    }
  }
}

/** Whether this holder alone keeps the claim out; one of several holders of a semaphore does not. */
function blocks(holder: Scope, spec: AcquireSpec): boolean {
  return spec.mode === "exclusive" || holder.lock.mode === "exclusive" || spec.limit === 1;
}

/** The line, or else the locks it was taken inside of. */
function whereTaken({ where, outer }: Scope): string {
  if (where !== undefined) return where;
  const around = outer === undefined ? [] : chainOf(outer).map(({ key }) => ` inside of ${JSON.stringify(key)}`);
  return `by a withLock or tryWithLock${around.join("")} (detectDeadlocks: true names the line)`;
}

function chainOf(scope: Scope): Scope[] {
  const chain: Scope[] = [];
  for (let each: Scope | undefined = scope; each !== undefined; each = each.outer) chain.push(each);
  return chain;
}

function pairOf(outer: string, inner: string): string {
  return `${outer.length}:${outer}${inner}`;
}

/** Frames of dlock itself say nothing of the caller. */
const ownFolder = new URL(".", import.meta.url).pathname;
