/**
 * Each claim of a batch is a small program: it asks the server for a decision, or for the age of a lease, and goes on with the answer until
 * it has a verdict. The programs of a batch run in step, so that all their decisions of one round share one message.
 */
import { type DriverError, isDriverError, type Outcome } from "@dlock/core";
import { Attempt } from "./attempt.js";
import { Failure } from "./failures.js";
import type { Lease, LeaseAge, Leases } from "./leases.js";
import type { Reply, Transactions } from "./transactions.js";
import type { Txn } from "./wire.js";

/** A decision; `build` gets a lease that lives at least `ttlMs` from now when that is given. */
export interface Decision {
  readonly ttlMs?: number;
  build(lease: Lease | undefined): Txn;
}

interface Question {
  readonly leaseId: string;
  /** Whether a remembered answer will do, and none at all when there is trouble. */
  readonly hint: boolean;
}

export type Program<R> = Generator<Decision | Question, R, Reply | LeaseAge | undefined>;

/** A decision of the server that puts nothing. */
export function* decide(txn: Txn): Program<Reply> {
  return (yield { build: () => txn }) as Reply;
}

/** A decision that puts records on a lease. */
export function* decideWith(ttlMs: number, build: (lease: Lease) => Txn): Program<Reply & { lease: Lease }> {
  return (yield { ttlMs, build: (lease) => build(lease as Lease) }) as Reply & { lease: Lease };
}

/** The age of a lease; undefined when it has ended. */
export function* ageOf(leaseId: string, hint: boolean): Program<LeaseAge | undefined> {
  return (yield { leaseId, hint }) as LeaseAge | undefined;
}

/** How long a refusal may be held back to name the holder. */
const hintWithinMs = 250;

interface Running<R> {
  readonly index: number;
  readonly program: Program<R>;
  readonly step: Decision | Question;
}

export class Runner {
  readonly #transactions: Transactions;
  readonly #leases: Leases;

  constructor(transactions: Transactions, leases: Leases) {
    this.#transactions = transactions;
    this.#leases = leases;
  }

  async run<R>(programs: readonly Program<R>[], attempt: Attempt): Promise<Outcome<R>[]> {
    const outcomes: Outcome<R>[] = new Array(programs.length);
    let running: Running<R>[] = [];
    const go = (index: number, program: Program<R>, answer: Reply | LeaseAge | undefined) => {
      try {
        const { done, value } = program.next(answer);
        if (done) outcomes[index] = value;
        else running.push({ index, program, step: value });
      } catch (error) {
        // A claim may end with neither yes nor no; anything else thrown here is a fault of ours.
        if (!isDriverError(error)) throw error;
        outcomes[index] = error;
      }
    };
    for (const [index, program] of programs.entries()) go(index, program, undefined);
    while (running.length > 0) {
      const round = running;
      running = [];
      const answers = await this.#answers(
        round.map(({ step }) => step),
        attempt,
      );
      for (const [at, { index, program }] of round.entries()) {
        const answer = answers[at];
        if (isDriverError(answer)) outcomes[index] = answer;
        else go(index, program, answer);
      }
    }
    return outcomes;
  }

  async #answers(
    steps: readonly (Decision | Question)[],
    attempt: Attempt,
  ): Promise<readonly (Reply | LeaseAge | DriverError | undefined)[]> {
    const decisions = steps.filter((step) => "build" in step);
    const [replies, ages] = await Promise.all([
      decisions.length === 0 ? [] : this.#transactions.run(decisions, attempt),
      Promise.all(steps.map((step) => ("build" in step ? undefined : this.#age(step, attempt)))),
    ]);
    let decided = 0;
    return steps.map((step, at) => {
      if (!("build" in step)) return ages[at];
      decided += 1;
      return replies[decided - 1];
    });
  }

  async #age({ leaseId, hint }: Question, attempt: Attempt): Promise<LeaseAge | DriverError | undefined> {
    try {
      if (!hint) return await this.#leases.age(leaseId, attempt);
      // Nor is it worth a wait: the leader alone knows, and it may be gone.
      return await this.#leases.knownAge(leaseId, new Attempt(Math.min(attempt.leftMs, hintWithinMs), attempt.clock));
    } catch (error) {
      // A refusal without its hint is still a refusal.
      if (hint) return undefined;
      if (error instanceof Failure) return error.toDriverError(attempt.uncertain);
      throw error;
    }
  }
}
