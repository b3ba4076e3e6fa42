/**
 * The gate of a key: first in, first out inside the process. The head of the queue talks to the server for all (single-flight), a released
 * lease passes to the next waiter without a round trip, and consecutive shared waiters go together.
 */
import type { Acquisition } from "./acquire.js";
import type { Holder } from "./driver.js";
import type { Engine } from "./engine.js";
import type { LockBackendError } from "./errors.js";
import type { Lease } from "./lease.js";
import type { AcquireSpec } from "./options.js";
import type { Entry } from "./schedule.js";
import { TransientMap } from "./transient-map.js";
import { breakIsDue, pauseMs, rivalsAreNear, turnIsOver } from "./turns.js";
import { Watch } from "./watch.js";

/** All gates of a provider. A gate exists while somebody waits for its key or holds it. */
export class Gates {
  readonly #engine: Engine;
  readonly #byKey = new TransientMap<Gate>();
  /** An owner the user gave has gates of its own: "the same holder wherever it asks" does not stand in line. */
  readonly #byOwner = new TransientMap<Gate>();
  /** Who waits for a key outside of any line. */
  readonly #hints = new Map<string, Set<() => void>>();

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  enter(acquisition: Acquisition): void {
    const { key, spec } = acquisition;
    const gates = spec.owner === undefined ? this.#byKey : this.#byOwner;
    const id = spec.owner === undefined ? key : idOf(key, spec.owner);
    let gate = gates.get(id);
    if (gate === undefined) {
      gate = new Gate(this.#engine, key, gates, id, spec.owner !== undefined);
      gates.set(id, gate);
    }
    acquisition.gate = gate;
    gate.enter(acquisition);
  }

  /** The live lease of this provider that belongs to `owner`, one the user gave or one of ours. */
  lease(key: string, owner: string): Lease | undefined {
    return this.#byOwner.get(idOf(key, owner))?.leaseOf(owner) ?? this.#byKey.get(key)?.leaseOf(owner);
  }

  /** The key may be free: a local waiter that sleeps tries again. */
  wake(key: string): void {
    this.#byKey.get(key)?.wake();
  }

  /** Nothing of this owner is being given back any more: the user who gave it, and asked again, may go on. */
  released(key: string, owner: string): void {
    this.#byOwner.get(idOf(key, owner))?.run();
  }

  /**
   * Calls `wake` for each lease of this process that has ended: of those the server need not tell, since whoever waits here may have been refused
   * without asking it. Returns how to end that.
   */
  onEnd(key: string, wake: () => void): () => void {
    const hints = this.#hints.get(key) ?? new Set();
    this.#hints.set(key, hints.add(wake));
    return () => {
      if (hints.delete(wake) && hints.size === 0) this.#hints.delete(key);
    };
  }

  ended(key: string): void {
    for (const wake of this.#hints.get(key) ?? []) wake();
  }

  /** What waits fails, what is held is lost and released. */
  close(error: (key: string) => Error): void {
    for (const gates of [this.#byKey, this.#byOwner]) for (const [, gate] of [...gates.entries()]) gate.close(error);
  }
}

export class Gate implements Entry {
  slot = -1;
  readonly keepsAlive = true;
  readonly key: string;
  /** Grows with each notification: one that overtakes the reply of a refused attempt is not lost. */
  wakes = 0;
  readonly #engine: Engine;
  readonly #gates: TransientMap<Gate>;
  readonly #id: string;
  readonly #ofOneOwner: boolean;
  /** Waiters that do not talk to the server, oldest first. */
  #first: Acquisition | undefined;
  #last: Acquisition | undefined;
  /** Of those, how many are content with one verdict (such as those with `waitMs: 0`). */
  #tries = 0;
  /** Those that talk to the server: one, or several shared ones. */
  #contending: Acquisition[] = [];
  #leases: Lease | undefined;
  /** The failure, if the last verdict was one. */
  lastError: LockBackendError | undefined;
  #lastHolder: Holder | undefined;
  /** The last verdict was a shared grant: the next shared waiters need not wait for each other's. */
  #flowing = false;
  #watch: Watch | undefined;
  #rivalAt = Number.NEGATIVE_INFINITY;
  #pausedAt = Number.NEGATIVE_INFINITY;
  #turnIsOver = false;
  #advancing = false;

  constructor(engine: Engine, key: string, gates: TransientMap<Gate>, id: string, ofOneOwner: boolean) {
    this.#engine = engine;
    this.key = key;
    this.#gates = gates;
    this.#id = id;
    this.#ofOneOwner = ofOneOwner;
  }

  enter(acquisition: Acquisition): void {
    const { spec } = acquisition;
    const joinable = this.#ofOneOwner ? this.#joinable(spec) : undefined;
    if (joinable !== undefined) {
      this.join(joinable, acquisition);
      return;
    }
    if (this.#first === undefined && this.#mayContend(spec)) {
      this.#contend(acquisition, acquisition.startedAt);
      return;
    }
    const inTheWay = acquisition.oneVerdict ? this.#heldAgainst(spec) : undefined;
    if (inTheWay !== undefined) {
      acquisition.refuse(inTheWay.asHolder(this.#engine.clock.now()));
      return;
    }
    this.#insert(acquisition, this.#last, undefined);
    acquisition.queued();
    // Whoever wants one verdict gets a fresh one: a head that sleeps asks again.
    if (acquisition.oneVerdict) for (const head of [...this.#contending]) head.wake();
  }

  /** A further hold of the lease. While that has to be renewed for it first, it is one that talks to the server. */
  join(lease: Lease, acquisition: Acquisition): void {
    if (lease.lastsFor(acquisition.spec, this.#engine.clock.now())) {
      acquisition.join(lease);
      return;
    }
    acquisition.gate = this;
    this.#contending.push(acquisition);
    acquisition.lengthen(lease);
  }

  /** The lease that the acquisition was to take part in is over: it goes the way of all others. */
  enterAnew(acquisition: Acquisition): void {
    this.#take(acquisition);
    this.enter(acquisition);
    this.#advance();
  }

  /** The acquisition talks to the server no more. */
  left(acquisition: Acquisition): void {
    this.#take(acquisition);
    this.#advance();
  }

  granted(acquisition: Acquisition, lease: Lease): void {
    this.#take(acquisition);
    this.#flowing = lease.spec.mode === "shared";
    this.lastError = undefined;
    lease.nextInGate = this.#leases;
    this.#leases = lease;
    if (this.#first === undefined && this.#contending.length === 0) {
      this.#stopWatch();
      return;
    }
    if (this.#ofOneOwner) this.#joinAll(lease);
    this.#advance();
    if (this.#tries > 0) this.#dismissTries(lease.asHolder(this.#engine.clock.now()), undefined);
  }

  /** The server has refused a contender, or has failed: whoever wanted one verdict has it. */
  refused(holder: Holder | undefined, error: LockBackendError | undefined): void {
    this.#flowing = false;
    this.lastError = error;
    if (error === undefined) {
      this.#lastHolder = holder;
      this.#rivalAt = this.#engine.clock.now();
    }
    if (this.#tries > 0) this.#dismissTries(holder, error);
  }

  /**
   * A refused contender wants to wait. False when it is back in the queue instead, at its old place, because one that came before it is
   * there to find out when the key is free.
   */
  mayWait(acquisition: Acquisition): boolean {
    if (this.#contending[0] !== acquisition) {
      this.#take(acquisition);
      let next = this.#first;
      while (next !== undefined && next.startedAt < acquisition.startedAt) next = next.next;
      this.#insert(acquisition, next === undefined ? this.#last : next.previous, next);
      acquisition.queued();
      return false;
    }
    this.#startWatch(acquisition);
    return true;
  }

  /** The key may be free. */
  wake(): void {
    this.wakes++;
    for (const contender of [...this.#contending]) contender.wake();
  }

  /** Who is known to be in the way, for the error of a wait that ends in the queue. */
  inTheWay(now: number): Holder | undefined {
    return this.#leases?.asHolder(now) ?? this.#lastHolder;
  }

  leaseOf(owner: string): Lease | undefined {
    return this.#find((lease) => lease.owner === owner && lease.state === "held");
  }

  /**
   * Passes the lease on to the next local waiter, where that is allowed: it asks for the same, enough of the TTL is left, and it was not
   * passed on too often or for too long in a row, since other processes want their turn. Returns how to tell the waiter.
   */
  handOff(lease: Lease, now: number): (() => void) | undefined {
    if (this.#ofOneOwner) return undefined;
    const next = this.#contending.find((contender) => contender.state === "sleeping") ?? this.#first;
    if (next === undefined || !asksTheSame(next.spec, lease.spec) || lease.deadline - now < lease.ttlMs / 2) return undefined;
    if (turnIsOver(this.#engine, lease, now)) {
      this.#turnIsOver = true;
      return undefined;
    }
    this.#take(next);
    return next.takeOver(lease, now);
  }

  leaseEnded(lease: Lease): void {
    if (this.#leases === lease) this.#leases = lease.nextInGate;
    else {
      const before = this.#find((other) => other.nextInGate === lease);
      if (before !== undefined) before.nextInGate = lease.nextInGate;
    }
    lease.nextInGate = undefined;
    this.#pause();
    this.#advance();
    this.#engine.gates.ended(this.key);
  }

  /** The pause is over, or a release that others of the same owner had to wait for. */
  run(): void {
    this.#advance();
  }

  close(error: (key: string) => Error): void {
    for (const contender of [...this.#contending]) contender.fail(error(this.key));
    for (let waiter = this.#first; waiter !== undefined; waiter = this.#first) waiter.fail(error(this.key));
    const leases: Lease[] = [];
    for (let lease = this.#leases; lease !== undefined; lease = lease.nextInGate) leases.push(lease);
    for (const lease of leases) lease.lose("closed");
  }

  /** Lets go on whoever may, and drops the gate when there is nothing left. */
  #advance(): void {
    // A driver that answers at once brings us back here before the first turn is over: that one goes on.
    if (this.#advancing) return;
    this.#advancing = true;
    for (let next = this.#first; next !== undefined && this.#mayContend(next.spec); next = this.#first) {
      const now = this.#engine.clock.now();
      this.#take(next);
      this.#contend(next, now);
    }
    this.#advancing = false;
    if (this.#first !== undefined || this.#contending.length > 0) return;
    this.#stopWatch();
    // While it pauses it stays: run() comes back here.
    if (this.#leases === undefined && this.slot < 0 && this.#gates.get(this.#id) === this) this.#gates.delete(this.#id);
  }

  #contend(acquisition: Acquisition, now: number): void {
    // A list made by `push` would have room for seventeen, in every gate.
    if (this.#contending.length === 0) this.#contending = [acquisition];
    else this.#contending.push(acquisition);
    acquisition.attempt(now);
  }

  /** Whether asking the server makes sense: nothing of ours is in the way, and nobody else is asking for us. */
  #mayContend(spec: AcquireSpec): boolean {
    // While close() ends the waiters one by one, the next is not to go on instead.
    if (this.#engine.closed) return false;
    const contenders = this.#contending.length;
    if (this.#ofOneOwner) {
      const owner = spec.owner as string;
      return this.#leases === undefined && contenders === 0 && !this.#engine.undo.isReleasing(this.key, owner);
    }
    const pausing = this.slot >= 0;
    if (pausing || this.#leasesAgainst(spec, contenders)) return false;
    return contenders === 0 || (spec.mode === "shared" && this.#flowing && this.#contending.every((other) => other.spec.mode === "shared"));
  }

  /** Whether leases of this process (with `more` shared ones on their way) are in the way, released ones included until that is certain. */
  #leasesAgainst(spec: AcquireSpec, more: number): boolean {
    if (this.#leases === undefined) return false;
    if (spec.mode === "exclusive") return true;
    let count = more;
    for (let lease: Lease | undefined = this.#leases; lease !== undefined; lease = lease.nextInGate) {
      if (lease.spec.mode === "exclusive") return true;
      count++;
    }
    return spec.limit !== undefined && count >= spec.limit;
  }

  /** The lease of this process that is held and in the way, where that alone is reason enough to refuse. */
  #heldAgainst(spec: AcquireSpec): Lease | undefined {
    const now = this.#engine.clock.now();
    const held = this.#find((lease) => lease.state === "held" && now < lease.deadline);
    // Whoever stands in line waits for this lease too, and comes first.
    const line = this.#first !== undefined && this.#contending.length === 0 && this.slot < 0;
    if (held === undefined || !(line || this.#leasesAgainst(spec, 0))) return undefined;
    return this.#find((lease) => lease.state === "releasing") === undefined ? held : undefined;
  }

  /** A lease that a further hold of the same owner can share. */
  #joinable(spec: AcquireSpec): Lease | undefined {
    const now = this.#engine.clock.now();
    // Asked for its ends and not only for its state: no timer may have told of them yet.
    const isHeld = (lease: Lease) => lease.state === "held" && now < lease.deadline && now < lease.maxHoldAt;
    return this.#find((lease) => isHeld(lease) && sameMode(lease.spec, spec));
  }

  #joinAll(lease: Lease): void {
    for (const waiter of this.#queued()) {
      if (!waiter.inQueue || lease.state !== "held" || !sameMode(lease.spec, waiter.spec)) continue;
      this.#take(waiter);
      this.join(lease, waiter);
    }
  }

  #dismissTries(holder: Holder | undefined, error: LockBackendError | undefined): void {
    for (const waiter of this.#queued()) {
      if (!waiter.inQueue || !waiter.oneVerdict) continue;
      if (error === undefined) waiter.refuse(holder);
      else waiter.fail(error);
    }
  }

  /** A copy: a listener of what is told to one of them may end the others. */
  #queued(): Acquisition[] {
    const queued: Acquisition[] = [];
    for (let waiter = this.#first; waiter !== undefined; waiter = waiter.next) queued.push(waiter);
    return queued;
  }

  /**
   * Waiters of other processes, just notified, come first: when the turn is over, and after any release when they were met lately, since whoever
   * asks again at once would win against them nearly always.
   */
  #pause(): void {
    const turnIsOver = this.#turnIsOver && this.#first !== undefined;
    this.#turnIsOver = false;
    if (this.#ofOneOwner || (!turnIsOver && this.#rivalAt === Number.NEGATIVE_INFINITY)) return;
    // One that has begun is not lengthened; and while others of this process share the key nobody comes first by it.
    if (this.slot >= 0 || this.#leases !== undefined) return;
    const { clock, schedule, driver } = this.#engine;
    // A queue on the server sees to fairness by itself.
    if (driver.capabilities.queue && this.#first?.spec.queue !== false) return;
    const now = clock.now();
    if (!rivalsAreNear(now, this.#rivalAt) && !(turnIsOver && breakIsDue(now, this.#pausedAt))) return;
    this.#pausedAt = now;
    schedule.set(this, now + pauseMs(this.#engine));
  }

  #startWatch({ owner, spec }: Acquisition): void {
    const { driver } = this.#engine;
    if (driver.watch === undefined) return;
    // With a queue, what is watched depends on whose place it is.
    if (this.#watch !== undefined && (!spec.queue || this.#watch.owner === owner)) return;
    this.#stopWatch();
    this.#watch = new Watch(
      this.#engine,
      this.key,
      owner,
      () => this.wake(),
      (error) => {
        this.#watch = undefined;
        this.#engine.report(error, "watch for the release of", this.key);
      },
    );
  }

  #stopWatch(): void {
    this.#watch?.stop();
    this.#watch = undefined;
  }

  #find(test: (lease: Lease) => boolean): Lease | undefined {
    for (let lease = this.#leases; lease !== undefined; lease = lease.nextInGate) if (test(lease)) return lease;
    return undefined;
  }

  #insert(acquisition: Acquisition, previous: Acquisition | undefined, next: Acquisition | undefined): void {
    acquisition.previous = previous;
    acquisition.next = next;
    if (previous === undefined) this.#first = acquisition;
    else previous.next = acquisition;
    if (next === undefined) this.#last = acquisition;
    else next.previous = acquisition;
    acquisition.inQueue = true;
    if (acquisition.oneVerdict) this.#tries++;
  }

  /** Takes an acquisition out of the queue or from among the contenders. */
  #take(acquisition: Acquisition): void {
    if (!acquisition.inQueue) {
      const place = this.#contending.indexOf(acquisition);
      if (place >= 0 && this.#contending.length === 1) this.#contending = [];
      else if (place >= 0) this.#contending.splice(place, 1);
      return;
    }
    const { previous, next } = acquisition;
    if (previous === undefined) this.#first = next;
    else previous.next = next;
    if (next === undefined) this.#last = previous;
    else next.previous = previous;
    acquisition.previous = undefined;
    acquisition.next = undefined;
    acquisition.inQueue = false;
    if (acquisition.oneVerdict) this.#tries--;
  }
}

function sameMode(one: AcquireSpec, other: AcquireSpec): boolean {
  return one.mode === other.mode && one.limit === other.limit;
}

function asksTheSame(one: AcquireSpec, other: AcquireSpec): boolean {
  return (
    sameMode(one, other) &&
    one.ttlMs === other.ttlMs &&
    one.metadata === other.metadata &&
    one.owner === undefined &&
    other.owner === undefined
  );
}

/** One text for both, in which no key and owner can be taken for others. */
function idOf(key: string, owner: string): string {
  return `${key.length}:${key}${owner}`;
}
