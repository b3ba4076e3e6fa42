/**
 * A lease this process holds: until when, for which handles, and how it ends. The local deadline decides, counted from before the claim was
 * sent; no reply is needed to learn of a loss.
 */

import type { Holder, Outcome } from "./driver.js";
import type { Engine } from "./engine.js";
import { isDriverError, LockBackendError, type LossReason } from "./errors.js";
import type { Receiver } from "./flight.js";
import type { Gate } from "./gate.js";
import { LockHandle, ownerOf } from "./lock.js";
import { fieldsOf } from "./logger.js";
import { type AcquireSpec, longestMs } from "./options.js";
import { lateRenewal, nextRenewal, renew } from "./renewer.js";
import type { Entry } from "./schedule.js";
import { publicToken } from "./token.js";
import { driftMs } from "./validity.js";

/** What the server granted, and what this process knows of it. */
export interface Grant {
  readonly owner: string;
  /** As the server minted it. */
  readonly token: bigint;
  readonly ttlMs: number;
  readonly sentAt: number;
  readonly now: number;
  /** Until when a lost attempt of this owner may still be delivered, and so must be undone after the release; 0 if there is none. */
  readonly ghostUntil: number;
}

export class Lease implements Entry {
  slot = -1;
  /** A process with nothing to do but renew may exit. */
  readonly keepsAlive = false;
  readonly engine: Engine;
  readonly gate: Gate;
  readonly key: string;
  readonly owner: string;
  readonly token: bigint;
  /** For how long it is renewed: the longest TTL that its holds asked for. */
  ttlMs: number;
  readonly grantedAt: number;
  state: "held" | "releasing" | "ended" = "held";
  /** What the present holder asked for; a hand-off brings the next one's. */
  spec: AcquireSpec;
  /** When the lock is lost, on the engine's clock, unless it is renewed before. */
  deadline: number;
  /** When one of the present holds has lasted for too long. */
  maxHoldAt: number;
  /** When the present holder has held it for so long that it is told. */
  heldLongAt: number;
  /** The longest TTL it may have been promised: no renewal shortens it (R8). */
  longestMs: number;
  /** Whether, when and how it is renewed. */
  autoRenew: boolean;
  renewAt: number;
  renewEveryMs: number | undefined;
  renewTimeoutMs: number;
  renewing = false;
  /** Renewals and refreshes without an answer yet, and the longer ones that wait for it. */
  unanswered = 0;
  whenAnswered: ((now: number) => void)[] | undefined;
  /** Until when a renewal without an answer may still be delivered. */
  unsureUntil = 0;
  atRisk = false;
  /** How often it was handed on inside the process. */
  handOffs = 0;
  /** The leases of a gate form a list. */
  nextInGate: Lease | undefined;
  /** When it is to be seen again whether somebody still has a handle. */
  #lookAt = 0;
  readonly #ghostUntil: number;
  /** It was lost by its time, while renewals without an answer may have made it live on at the server: so its holder gives it back. */
  #livesOn = false;
  /** More than one only for an owner the user gave. Weak from the first renewal on, so that a dropped handle is seen. */
  #handles: (LockHandle | WeakRef<LockHandle>)[] = [];

  constructor(engine: Engine, gate: Gate, spec: AcquireSpec, grant: Grant) {
    this.engine = engine;
    this.gate = gate;
    this.key = gate.key;
    this.owner = grant.owner;
    this.token = grant.token;
    this.ttlMs = spec.ttlMs;
    this.grantedAt = grant.now;
    this.deadline = grant.sentAt + grant.ttlMs - driftMs(grant.ttlMs);
    // Who has the same owner in another process may have been promised more.
    this.longestMs = spec.owner === undefined ? grant.ttlMs : longestMs;
    this.spec = spec;
    this.maxHoldAt = grant.now + spec.maxHoldMs;
    this.heldLongAt = grant.now + engine.spec.heldLongMs;
    this.autoRenew = spec.autoRenew;
    this.renewEveryMs = undefined;
    this.renewTimeoutMs = this.#renewTimeoutMs(spec);
    this.#ghostUntil = grant.ghostUntil;
    this.renewAt = nextRenewal(this, grant.sentAt);
    this.reschedule();
  }

  /** Makes the handle of a holder, who may hold it until `maxHoldAt`. */
  handle(now: number, maxHoldAt: number): LockHandle {
    const handle = new LockHandle(this, this.handOffs, now, maxHoldAt);
    // A list made by `push` would have room for seventeen.
    if (this.#handles.length === 0) this.#handles = [handle];
    else this.#handles.push(handle);
    this.engine.stats.active++;
    return handle;
  }

  /** Whether a further hold gets the TTL it asks for from the lease as it stands: so much is left, or renewals see to it. */
  lastsFor({ ttlMs }: AcquireSpec, now: number): boolean {
    return (this.autoRenew && ttlMs <= this.ttlMs) || this.deadline - now >= ttlMs - driftMs(ttlMs);
  }

  /** A further hold of the same owner: from now on the lease is renewed if one of its holds wants that, and for the longest of their TTLs. */
  join(spec: AcquireSpec, now: number): LockHandle {
    this.autoRenew ||= spec.autoRenew;
    this.ttlMs = Math.max(this.ttlMs, spec.ttlMs);
    // It may be near its end, and the next look at a lease without renewal after that.
    this.renewAt = Math.min(this.renewAt, Math.max(now, this.deadline - (this.ttlMs * 2) / 3));
    const maxHoldAt = now + spec.maxHoldMs;
    this.maxHoldAt = Math.min(this.maxHoldAt, maxHoldAt);
    this.reschedule();
    return this.handle(now, maxHoldAt);
  }

  /** The next holder takes the lease over as it stands. */
  handOn(spec: AcquireSpec, now: number): LockHandle {
    this.handOffs++;
    this.spec = spec;
    // A nested hold may have asked for more.
    this.ttlMs = spec.ttlMs;
    this.maxHoldAt = now + spec.maxHoldMs;
    this.heldLongAt = now + this.engine.spec.heldLongMs;
    this.atRisk = false;
    this.autoRenew = spec.autoRenew;
    if (this.renewEveryMs !== undefined) {
      this.renewEveryMs = undefined;
      this.renewAt = nextRenewal(this, now);
    }
    this.renewTimeoutMs = this.#renewTimeoutMs(spec);
    this.reschedule();
    return this.handle(now, this.maxHoldAt);
  }

  /** One that gets no answer must leave time for another. */
  #renewTimeoutMs(spec: AcquireSpec): number {
    return Math.min(spec.attemptTimeoutMs, this.ttlMs / 3);
  }

  /** Whether its owner was made for it, so that no other lease can have it. */
  get hasOwnOwner(): boolean {
    return this.spec.owner === undefined;
  }

  /** Whether it is held at this moment. An end that no timer could tell of yet is told here: what is lost never comes back. */
  isHeldAt(now: number): boolean {
    if (this.state !== "held") return false;
    if (now >= this.deadline) this.lose("expired");
    else if (now >= this.maxHoldAt) this.lose("max-hold");
    else return true;
    return false;
  }

  /** Due: the lease is over, or was held for too long, or wants renewing, or its handle was dropped. */
  run(now: number): void {
    if (!this.isHeldAt(now)) return;
    if (now >= Math.max(this.renewAt, this.#lookAt) && this.#dropped(now)) {
      // Told, no longer renewed, yet not released: the work may still be going on, so only the TTL frees the key.
      this.lose("leaked");
    } else {
      if (now >= this.heldLongAt) this.#tellHeldLong(now);
      // Unless a listener has just let it go.
      if (now >= this.renewAt && this.state === "held" && !this.renewing) {
        if (this.autoRenew) renew(this, now);
        else this.renewAt = nextRenewal(this, now);
      }
      this.reschedule();
    }
  }

  /** What `autoRefresh` asks for; a late renewal is worse than none asked for, so it is said. */
  renewInRhythm(intervalMs: number | undefined, timeoutMs: number | undefined, now: number): void {
    const { logger } = this.engine;
    this.autoRenew = true;
    this.renewEveryMs = intervalMs;
    if (timeoutMs !== undefined) this.renewTimeoutMs = timeoutMs;
    this.renewAt = nextRenewal(this, now);
    if (intervalMs !== undefined && intervalMs >= this.ttlMs)
      logger?.warn({ ...fieldsOf(this.key, this.publicOwner), interval_ms: intervalMs, ttl_ms: this.ttlMs }, lateRenewal);
    this.reschedule();
  }

  /** The earliest bound of a hold counts for all: a key that hangs is what it is there to prevent. */
  boundHolds(): void {
    this.maxHoldAt = Math.min(...this.#liveHandles().map(({ maxHoldAt }) => maxHoldAt));
    this.reschedule();
  }

  reschedule(): void {
    if (this.state === "held") this.engine.schedule.set(this, this.#nextEventAt());
  }

  #nextEventAt(): number {
    const end = Math.min(this.deadline, this.maxHoldAt, this.heldLongAt);
    return this.renewing ? end : Math.min(end, this.renewAt);
  }

  #tellHeldLong(now: number): void {
    const heldMs = now - this.heldLongAt + this.engine.spec.heldLongMs;
    this.heldLongAt = Number.POSITIVE_INFINITY;
    this.engine.logger?.warn(
      { ...fieldsOf(this.key, this.publicOwner, this.publicToken), held_ms: Math.round(heldMs) },
      "lock held for long",
    );
    this.engine.events.emit("held-long", { ...this.describe(), heldMs });
  }

  /** The server has agreed to `ttlMs` from `sentAt`. */
  extended(sentAt: number, ttlMs: number): void {
    const { engine } = this;
    this.deadline = Math.max(this.deadline, sentAt + ttlMs - driftMs(ttlMs));
    this.longestMs = Math.max(this.longestMs, ttlMs);
    this.renewAt = nextRenewal(this, sentAt);
    this.atRisk = false;
    engine.stats.refreshCount++;
    if (engine.events.has("renewed"))
      engine.events.emit("renewed", { ...this.describe(), remainingMs: this.deadline - engine.clock.now() });
    this.reschedule();
  }

  /** The lease may have ended: tells every handle, and lets the waiters of this process try. A lost lease never comes back. */
  lose(reason: LossReason): void {
    if (this.state !== "held") return;
    const { engine } = this;
    const handles = this.#liveHandles();
    const told = { ...this.describe(), reason };
    const holds = this.#handles.length;
    engine.stats.active -= holds;
    engine.stats.lost += holds;
    if (reason === "expired") engine.stats.expired += holds;
    this.state = "ended";
    const unsure = this.unanswered > 0 || this.unsureUntil > engine.clock.now();
    // With more than one hold the work of another may go on; an owner the user gave may hold it elsewhere.
    this.#livesOn = reason === "expired" && unsure && holds === 1 && this.hasOwnOwner;
    for (const handle of handles) handle.onLost(reason);
    engine.logger?.warn({ ...fieldsOf(this.key, this.publicOwner, this.publicToken), reason }, "lock lost");
    engine.events.emit("lost", told);
    if (reason === "max-hold" || reason === "closed") this.#giveBack();
    // The work of a dropped handle may still be going on under the lease: it is not to be freed before its time.
    if (reason !== "leaked") this.#undoGhost(engine.clock.now());
    // Only now, so that nobody of this process gets the key before its last holder is told.
    this.#end();
  }

  /**
   * One holder lets go: other holds of the same owner keep the lease, a waiter of this process may get it, else the server is told.
   *
   * @param resolve is told whether it was still held.
   */
  letGo(handle: LockHandle, now: number, resolve: (held: boolean) => void, reject: (error: unknown) => void): void {
    const { engine } = this;
    const heldMs = now - handle.acquiredAt;
    engine.stats.unlockCount++;
    engine.stats.holdMs.add(heldMs);
    const told = engine.events.has("released") ? { ...this.describe(), heldMs } : undefined;
    const shared = this.#drop(handle);
    const tellNext = shared ? undefined : this.gate.handOff(this, now);
    const kept = shared || tellNext !== undefined;
    if (!kept) {
      this.state = "releasing";
      engine.schedule.delete(this);
    }
    // Only now: a listener may use the locks.
    if (told !== undefined) engine.events.emit("released", { ...told, handedOff: tellNext !== undefined });
    tellNext?.();
    if (kept) resolve(true);
    else new Release(this, resolve, reject).send(now);
  }

  /** Its holder has come to an end, after the loss. */
  letGoLost(): void {
    if (this.#livesOn) this.#undo({ until: this.engine.clock.now() + this.longestMs, untilAnswered: true, token: this.token });
    this.#livesOn = false;
  }

  /** The server has answered the release. */
  released(now: number): void {
    const { engine } = this;
    engine.logger?.info(fieldsOf(this.key, this.publicOwner, this.publicToken), "lock released");
    this.#undoGhost(now);
    this.#end();
  }

  /** The release may not have arrived: it goes on in the background. */
  releaseUnknown(): void {
    this.#giveBack();
    this.#undoGhost(this.engine.clock.now());
    this.#end();
  }

  /** The newest hold, for callers who know only the owner: made anew when they have dropped the handle. */
  get newestHandle(): LockHandle {
    return this.#liveHandles().at(-1) ?? this.handle(this.grantedAt, this.maxHoldAt);
  }

  /** The owner that people see: the present holder. */
  get publicOwner(): string {
    return ownerOf(this, this.handOffs);
  }

  /** The token of the present holder. */
  get publicToken(): bigint {
    return publicToken(this.token, this.handOffs);
  }

  describe(): { key: string; owner: string; token: string } {
    return { key: this.key, owner: this.publicOwner, token: String(this.publicToken) };
  }

  /** As `inspect` would show it. */
  asHolder(now: number): Holder {
    const { metadata } = this.spec;
    return {
      owner: this.owner,
      token: this.publicToken,
      mode: this.spec.mode,
      remainingMs: Math.max(this.deadline - now, 0),
      heldMs: now - this.grantedAt,
      ...(metadata === undefined ? {} : { metadata }),
    };
  }

  #giveBack(): void {
    this.#undo({ until: this.deadline, untilAnswered: true, token: this.token });
  }

  #undo(how: { until: number; untilAnswered: boolean; token?: bigint }): void {
    this.engine.undo.add({ key: this.key, owner: this.owner, timeoutMs: this.spec.attemptTimeoutMs, ...how });
  }

  /** An attempt of this owner may still be delivered and would then be granted anew. An owner the user gave is never undone. */
  #undoGhost(now: number): void {
    if (this.#ghostUntil > now && this.hasOwnOwner) this.#undo({ until: this.#ghostUntil, untilAnswered: false });
  }

  #end(): void {
    this.state = "ended";
    this.#handles = [];
    this.engine.schedule.delete(this);
    this.gate.leaseEnded(this);
  }

  /** Takes a handle off the lease; returns whether others are left. */
  #drop(handle: LockHandle): boolean {
    this.#keepOnly(this.#handles.length > 1 ? this.#liveHandles().filter((other) => other !== handle) : []);
    if (this.#handles.length === 0) return false;
    this.boundHolds();
    return true;
  }

  #keepOnly(handles: (LockHandle | WeakRef<LockHandle>)[]): void {
    this.engine.stats.active -= this.#handles.length - handles.length;
    this.#handles = handles;
  }

  /** Somebody listens to the handle: from now on it is kept, since whoever listens is to be told of a loss and may have nothing else of it. */
  keep(handle: LockHandle): void {
    this.#handles = this.#handles.map((each) => (each instanceof WeakRef && each.deref() === handle ? handle : each));
  }

  /** Makes the handles weak at the first look; at the next ones says whether nobody has one any more. A user's own owner needs none. */
  #dropped(now: number): boolean {
    // At each third renewal: a look at a weak reference is a tenth of what a renewal costs.
    this.#lookAt = now + this.ttlMs * 0.75;
    if (!this.hasOwnOwner) return false;
    // In place, and what is weak stays as it is: ten thousand leases come here together.
    const handles = this.#handles;
    let kept = 0;
    for (const handle of handles) {
      if (!(handle instanceof WeakRef)) handles[kept++] = handle.isObserved ? handle : new WeakRef(handle);
      else if (handle.deref() !== undefined) handles[kept++] = handle;
    }
    if (kept === 0) return true;
    this.engine.stats.active -= handles.length - kept;
    handles.length = kept;
    return false;
  }

  #liveHandles(): LockHandle[] {
    const live: LockHandle[] = [];
    for (const handle of this.#handles) {
      const alive = handle instanceof WeakRef ? handle.deref() : handle;
      if (alive !== undefined) live.push(alive);
    }
    return live;
  }
}

/** Telling the server that a lease is over; once more when the answer is lost. */
class Release implements Receiver<boolean> {
  readonly #lease: Lease;
  readonly #resolve: (freed: boolean) => void;
  readonly #reject: (error: unknown) => void;
  #tries = 0;
  /** A try without an answer may have freed it. */
  #mayBeFreed = false;

  constructor(lease: Lease, resolve: (freed: boolean) => void, reject: (error: unknown) => void) {
    this.#lease = lease;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  send(now: number): void {
    const { engine, key, owner, token, spec } = this.#lease;
    this.#tries++;
    engine.releases.submit({ key, owner, token }, spec.attemptTimeoutMs, this, now, this.#lease.hasOwnOwner);
  }

  onOutcome(outcome: Outcome<boolean>, _sentAt: number, now: number): void {
    const lease = this.#lease;
    const { engine } = lease;
    if (!isDriverError(outcome)) {
      // Nothing found at the second try, and the deadline not over: it was the first try that freed it.
      const freed = outcome || (this.#mayBeFreed && now < lease.deadline);
      lease.released(now);
      this.#resolve(freed);
    } else if (this.#tries < 2 && outcome.retryable && !engine.closed) {
      this.#mayBeFreed = outcome.applied === "unknown";
      this.send(now);
    } else {
      lease.releaseUnknown();
      this.#reject(new LockBackendError(engine.driver.name, "release", outcome, lease.key));
    }
  }
}
