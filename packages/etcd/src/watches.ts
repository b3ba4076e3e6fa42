/**
 * Who waits for which key, over one watch call for the whole driver. A watch starts at the revision at which the waiter looked, so nothing
 * is lost in between; after anything that may have lost events (a broken or silent call, a compaction) the waiter is woken and looks again.
 */
import { type Claim, type Clock, systemClock, type Timer } from "@dlock/core";
import { Attempt } from "./attempt.js";
import { Failure, failureOf } from "./failures.js";
import type { Members, WatchCall } from "./members.js";
import type { Outlook } from "./views.js";
import { next, type WatchResponse } from "./wire.js";

/** How long looking and starting to watch may take. */
const standWithinMs = 5_000;
/** A call on which nothing came for this long is asked for a sign of life, and given up when none comes in the same time again. */
const heartbeatMs = 3_000;
const firstPauseMs = 100;
const longestPauseMs = 2_000;

interface Waiter {
  readonly claim: Claim;
  readonly wake: () => void;
  /** Under which etcd knows this watch; "" while there is none. */
  id: string;
  outlook: Outlook | undefined;
  ended: boolean;
  pauseMs: number;
  pause: Timer | undefined;
  /** Settles the promise of `add` once. */
  stand(failure?: Failure): void;
}

export class Watches {
  readonly #members: Members;
  readonly #look: (claim: Claim, attempt: Attempt) => Promise<Outlook>;
  readonly #clock: Clock = systemClock;
  readonly #waiters = new Set<Waiter>();
  readonly #byId = new Map<string, Waiter>();
  #lastId = 0;
  #call: WatchCall | undefined;
  #opening: Promise<WatchCall> | undefined;
  #heartbeat: Timer | undefined;
  #silent = 0;
  #closed = false;

  constructor(members: Members, look: (claim: Claim, attempt: Attempt) => Promise<Outlook>) {
    this.#members = members;
    this.#look = look;
  }

  add(claim: Claim, wake: () => void): Promise<() => void> {
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        claim,
        wake,
        id: "",
        outlook: undefined,
        ended: false,
        pauseMs: firstPauseMs,
        pause: undefined,
        stand: (failure) => {
          waiter.stand = () => {};
          if (failure === undefined) return resolve(() => this.#end(waiter));
          this.#end(waiter);
          reject(failure.toDriverError(false));
        },
      };
      this.#waiters.add(waiter);
      if (this.#closed) waiter.stand(closed());
      else void this.#start(waiter);
    });
  }

  close(): void {
    this.#closed = true;
    for (const waiter of [...this.#waiters]) {
      waiter.stand(closed());
      this.#end(waiter);
    }
  }

  /** Looks, and watches from there. Never rejects: a first failure goes to the caller of `add`, later ones are tried again. */
  async #start(waiter: Waiter): Promise<void> {
    const attempt = new Attempt(standWithinMs, this.#clock);
    try {
      const outlook = await this.#look(waiter.claim, attempt);
      const call = await this.#open(attempt);
      if (waiter.ended) return;
      this.#forget(waiter);
      this.#lastId += 1;
      waiter.id = String(this.#lastId);
      waiter.outlook = outlook;
      this.#byId.set(waiter.id, waiter);
      const { range, revision } = outlook;
      call.write({ create_request: { ...range, watch_id: waiter.id, start_revision: next(revision), filters: ["Noput"] } });
    } catch (error) {
      if (waiter.ended) return;
      const failure = failureOf(error, "the watch");
      waiter.stand(failure);
      if (!waiter.ended) this.#again(waiter);
    }
  }

  /** What was watched may have changed unseen: wakes now, and starts again after a pause that grows while it goes on like this. */
  #again(waiter: Waiter): void {
    this.#forget(waiter);
    waiter.wake();
    if (waiter.ended || waiter.pause !== undefined) return;
    waiter.pause = this.#clock.setTimer(
      () => {
        waiter.pause = undefined;
        void this.#start(waiter);
      },
      waiter.pauseMs,
      false,
    );
    waiter.pauseMs = Math.min(2 * waiter.pauseMs, longestPauseMs);
  }

  #end(waiter: Waiter): void {
    if (waiter.ended) return;
    waiter.ended = true;
    waiter.pause?.cancel();
    this.#forget(waiter);
    this.#waiters.delete(waiter);
    // The call would keep the process alive.
    if (this.#waiters.size === 0) this.#drop();
  }

  #forget(waiter: Waiter): void {
    if (waiter.id === "") return;
    this.#byId.delete(waiter.id);
    this.#call?.write({ cancel_request: { watch_id: waiter.id } });
    waiter.id = "";
  }

  async #open(attempt: Attempt): Promise<WatchCall> {
    if (this.#call !== undefined) return this.#call;
    this.#opening ??= this.#openAnew(attempt).finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  async #openAnew(attempt: Attempt): Promise<WatchCall> {
    const { stream, member } = await this.#members.openWatch(attempt);
    // Without a listener an error would be thrown at the process, also long after the call was dropped.
    stream.on("error", () => this.#broken(stream, member));
    stream.on("end", () => this.#broken(stream, member));
    stream.on("data", (response: WatchResponse) => {
      if (this.#call !== stream) return;
      this.#silent = 0;
      this.#receive(response);
    });
    if (this.#waiters.size === 0) {
      stream.cancel();
      throw closed();
    }
    this.#call = stream;
    this.#silent = 0;
    this.#beat(stream, member);
    return stream;
  }

  #receive({ watch_id, created, canceled, cancel_reason, events }: WatchResponse): void {
    const waiter = this.#byId.get(watch_id);
    if (waiter === undefined) return;
    if (canceled) {
      // Compacted, or refused. Its id is gone on the server.
      this.#byId.delete(watch_id);
      waiter.id = "";
      const failure = failureOf(new Error(cancel_reason), "the watch");
      if (failure.reaction === "token") this.#members.forgetSignIn();
      if (failure.reaction === "split" || failure.reaction === "final") waiter.stand(failure);
      if (!waiter.ended) this.#again(waiter);
      return;
    }
    if (created) {
      waiter.stand();
      if (waiter.outlook?.ready) waiter.wake();
      return;
    }
    waiter.pauseMs = firstPauseMs;
    if (events.length === 0) return;
    if (waiter.outlook?.inQueue) void this.#moveUp(waiter);
    else waiter.wake();
  }

  /** The one in front has gone: the waiter is first, or has another one in front. */
  async #moveUp(waiter: Waiter): Promise<void> {
    await this.#start(waiter);
    if (!waiter.ended && waiter.outlook?.inQueue === false) waiter.wake();
  }

  #broken(stream: WatchCall, member: number): void {
    if (this.#call !== stream) return;
    this.#drop();
    this.#members.leave(member);
    for (const waiter of [...this.#waiters]) this.#again(waiter);
  }

  #drop(): void {
    this.#heartbeat?.cancel();
    const call = this.#call;
    this.#call = undefined;
    for (const waiter of this.#byId.values()) waiter.id = "";
    this.#byId.clear();
    call?.cancel();
  }

  #beat(stream: WatchCall, member: number): void {
    this.#heartbeat = this.#clock.setTimer(
      () => {
        this.#silent += 1;
        if (this.#silent > 2) return this.#broken(stream, member);
        if (this.#silent > 1) this.#ask(stream);
        this.#beat(stream, member);
      },
      heartbeatMs,
      false,
    );
  }

  /**
   * A watch that ends at once is answered always. Progress is not told of as long as a watch waits for a revision of the future, which all of
   * ours do while nobody writes (since etcd 3.5.22 and 3.6.2).
   */
  #ask(stream: WatchCall): void {
    this.#lastId += 1;
    const watch_id = String(this.#lastId);
    stream.write({ create_request: { key: Buffer.from("dlock"), watch_id } });
    stream.write({ cancel_request: { watch_id } });
  }
}

const closed = () => new Failure("the driver is closed", "no", "final");
