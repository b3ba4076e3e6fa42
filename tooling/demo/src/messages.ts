/** What the supervisor and a worker say to each other. */
import type { Execution } from "./executions.js";

/** How a worker is told what to do; a message and no argument, since URLs carry passwords and everyone sees arguments. */
export interface Job {
  readonly worker: string;
  readonly url: string;
  /** Sets the keys of this run apart from those of earlier ones on the same server. */
  readonly keyPrefix: string;
  readonly ledger: string;
  readonly histories: string;
  readonly fenced: boolean;
  /** In the order in which this worker goes through them. */
  readonly executions: readonly Execution[];
}

/** Where a worker reports and waits for the answer, the lock in its hands. */
export type Checkpoint = "working" | "writing";

export type FromWorker =
  | { readonly type: "checkpoint"; readonly at: Checkpoint; readonly id: string }
  | { readonly type: "posted"; readonly id: string };

export type ToWorker = { readonly type: "job"; readonly job: Job } | { readonly type: "go" };
