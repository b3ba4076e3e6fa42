/** Who may use which connection when: a few sessions of the driver's own, renewals first, every wait with a deadline. */
import { type DriverError, driverError, isDriverError, systemClock, type Timer } from "@dlock/core";
import type { Answer } from "./client.js";
import { asUnknown, isDeadlock, isLockWaitTimeout, isReadOnly, isUnsent } from "./faults.js";
import { lockWaitMs, type Session } from "./session.js";
import type { Statement } from "./sql.js";

/** What goes first when connections are short. */
export type Rank = "renewal" | "release" | "acquire" | "look";

const ranks: readonly Rank[] = ["renewal", "release", "acquire", "look"];

/** Where sessions come from. */
export interface SessionSource {
  /** The most sessions at a time, at least 1. */
  readonly limit: number;
  /** How long a session that is not the last stays open without work, in milliseconds. */
  readonly idleMs: number;
  /** Whether the last one may be closed too: the application needs it. */
  readonly keepsNone: boolean;
  open(opening: Opening): Promise<Session>;
  /** Turns to another host, if there are several; the present one does not take writes. */
  turn?(): void;
  /** How many hosts there are. */
  readonly hosts: number;
}

/** A session on its way: a server that is silent keeps it there for seconds, and the process with it. */
export class Opening {
  stopped = false;
  #giveUp = () => {};

  /** From now on there is something to give up. */
  begun(giveUp: () => void): void {
    this.#giveUp = giveUp;
    if (this.stopped) giveUp();
  }

  stop(): void {
    this.stopped = true;
    this.#giveUp();
  }
}

/** Sends one statement of a call. Deadlock victims, and statements that waited for a row in vain, are sent again while there is time. */
export type Run = (sql: string | Statement, options?: { waitOnce?: boolean }) => Promise<Answer>;

interface Waiter {
  readonly rank: number;
  readonly take: (session: Session) => void;
  readonly fail: (error: DriverError) => void;
}

export class Sessions {
  readonly #source: SessionSource;
  #idle: { session: Session; since: number }[] = [];
  readonly #busy = new Set<Session>();
  #waiters: Waiter[] = [];
  readonly #openings = new Set<Opening>();
  #tidy: Timer | undefined;
  #closed = false;

  constructor(source: SessionSource) {
    this.#source = source;
  }

  /**
   * Runs the statements of one call on one session, all within `timeoutMs`. The call starts anew on another session only while it has
   * written nothing, and if a statement never left this process or the host does not take writes.
   */
  async use<T>(rank: Rank, timeoutMs: number, work: (run: Run, leftMs: () => number) => Promise<T>): Promise<T> {
    const deadline = systemClock.now() + timeoutMs;
    const leftMs = () => deadline - systemClock.now();
    for (let turns = 1; ; ) {
      const session = await this.#take(ranks.indexOf(rank), leftMs());
      let applied = false;
      try {
        return await work(async (sql, options) => {
          try {
            const answer = await insist(session, sql, leftMs, options?.waitOnce === true);
            if (typeof sql !== "string" || !sql.startsWith("SELECT")) applied = true;
            return answer;
          } catch (error) {
            throw applied ? asUnknown(error) : error;
          }
        }, leftMs);
      } catch (error) {
        if (applied || leftMs() <= 0 || this.#closed) throw error;
        if (isReadOnly(error) && turns < this.#source.hosts) {
          turns++;
          this.#turn();
        } else if (!isUnsent(error)) throw error;
      } finally {
        this.#give(session);
      }
    }
  }

  close(): void {
    this.#closed = true;
    this.#tidy?.cancel();
    for (const { fail } of this.#waiters.splice(0)) fail(closedError());
    for (const { session } of this.#idle.splice(0)) session.close();
    for (const session of this.#busy) session.close();
    for (const opening of this.#openings) opening.stop();
  }

  #take(rank: number, timeoutMs: number): Promise<Session> {
    if (this.#closed) return Promise.reject(closedError());
    return new Promise((resolve, reject) => {
      const settle = () => {
        timer.cancel();
        this.#waiters = this.#waiters.filter((other) => other !== waiter);
      };
      const waiter: Waiter = {
        rank,
        take: (session) => {
          settle();
          resolve(session);
        },
        fail: (error) => {
          settle();
          reject(error);
        },
      };
      const timer = systemClock.setTimer(
        () => waiter.fail(driverError(`no connection was free within ${Math.ceil(timeoutMs)} ms`, { applied: "no", retryable: true })),
        Math.max(timeoutMs, 0),
        true,
      );
      const behind = this.#waiters.findIndex((other) => other.rank > rank);
      this.#waiters.splice(behind === -1 ? this.#waiters.length : behind, 0, waiter);
      this.#serve();
    });
  }

  /** Nobody is sent to the host that turned read-only any more. */
  #turn(): void {
    this.#source.turn?.();
    for (const { session } of this.#idle.splice(0)) session.close();
  }

  /** Hands idle sessions to waiters, best rank first; the last seat is kept for renewals. */
  #serve(): void {
    this.#idle = this.#idle.filter(({ session }) => !session.broken);
    for (const waiter of [...this.#waiters]) {
      if (waiter.rank > 0 && this.#source.limit > 1 && this.#busy.size >= this.#source.limit - 1) return;
      const found = this.#idle.pop();
      if (found === undefined) break;
      this.#busy.add(found.session);
      found.session.ref(true);
      waiter.take(found.session);
    }
    const wanted = Math.min(this.#waiters.length, this.#source.limit - this.#busy.size - this.#idle.length);
    while (this.#openings.size < wanted) this.#open();
  }

  #open(): void {
    const opening = new Opening();
    this.#openings.add(opening);
    this.#source.open(opening).then(
      (session) => {
        this.#openings.delete(opening);
        if (this.#closed) {
          session.close();
          return;
        }
        this.#rest(session);
        this.#serve();
      },
      (error: unknown) => {
        this.#openings.delete(opening);
        // Whoever can be served by another session waits for it; if there is none, all learn why.
        if (this.#busy.size + this.#openings.size > 0) return;
        const failure = isDriverError(error) ? error : driverError(String(error), { applied: "no", retryable: false, cause: error });
        for (const { fail } of this.#waiters.splice(0)) fail(failure);
      },
    );
  }

  #give(session: Session): void {
    this.#busy.delete(session);
    if (!session.broken) this.#rest(session);
    if (!this.#closed) this.#serve();
  }

  #rest(session: Session): void {
    session.ref(false);
    this.#idle.push({ session, since: systemClock.now() });
    this.#scheduleTidy();
  }

  #scheduleTidy(): void {
    if (this.#tidy !== undefined || this.#closed) return;
    this.#tidy = systemClock.setTimer(
      () => {
        this.#tidy = undefined;
        const now = systemClock.now();
        const keep = this.#source.keepsNone ? 0 : 1;
        while (this.#idle.length + this.#busy.size > keep) {
          const oldest = this.#idle[0];
          if (oldest === undefined || now - oldest.since < this.#source.idleMs) break;
          this.#idle.shift();
          oldest.session.close();
        }
        if (this.#idle.length > keep) this.#scheduleTidy();
      },
      this.#source.idleMs,
      false,
    );
  }
}

async function insist(session: Session, sql: string | Statement, leftMs: () => number, waitOnce: boolean): Promise<Answer> {
  for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, 32)) {
    try {
      return await session.run(sql, leftMs());
    } catch (error) {
      const again = isDeadlock(error) || (isLockWaitTimeout(error) && !waitOnce && leftMs() > lockWaitMs);
      const thisPauseMs = pauseMs * (0.5 + Math.random());
      if (!again || leftMs() <= thisPauseMs) throw error;
      await pause(thisPauseMs);
    }
  }
}

/** Waits; the call it belongs to keeps the process alive. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    systemClock.setTimer(resolve, ms, true);
  });
}

function closedError(): DriverError {
  return driverError("the driver was closed", { applied: "no", retryable: false });
}
