/** What the supervisor and a worker say to each other. The register is the supervisor's: a store that is never stopped, and far away. */

/** How a worker is told what to do; a message and no argument, since URLs carry passwords and everyone sees arguments. */
export interface Job {
  readonly name: string;
  readonly url: string;
  /** The program that the workers belong to: backends are installed beside it. */
  readonly program: string;
  readonly seed: number;
  /** Sets the keys of this run apart from those of earlier ones on the same server. */
  readonly keyPrefix: string;
  readonly histories: string;
  readonly ttlMs: number;
  /** How many providers, as if they were processes, and how many tasks each has. */
  readonly providers: number;
  readonly tasks: number;
}

export type FromWorker =
  | { readonly type: "read"; readonly id: number; readonly key: string; readonly token: string }
  | { readonly type: "write"; readonly id: number; readonly key: string; readonly token: string; readonly value: string };

export type ToWorker =
  | { readonly type: "job"; readonly job: Job }
  | { readonly type: "answer"; readonly id: number; readonly accepted: boolean; readonly value?: string }
  /** Come to an end: finish what is under way, close, exit. */
  | { readonly type: "stop" };
