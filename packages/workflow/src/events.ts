/** What dashboards are told of executions; locks as such have the events of the provider. */
import type { Holder } from "@dlock/core";

/** Why an execution did not start: it runs elsewhere, or its template has no place free. */
export type ConflictReason = "already-running" | "template-limit";

export interface ExecutionEvent {
  readonly executionId: string;
  readonly templateId: string | undefined;
}

export interface WorkflowEvents {
  /** `runExecution` holds the locks and runs the body. The token is a decimal string, so that any dashboard can take it. */
  started: ExecutionEvent & { readonly lockKey: string; readonly owner: string; readonly token: string; readonly waitedMs: number };
  /** The body ended: it returned, threw, or ran while a lock was lost. */
  finished: ExecutionEvent & { readonly lockKey: string; readonly ranMs: number; readonly outcome: "completed" | "failed" | "lost" };
  /** An execution did not start. */
  conflict: ExecutionEvent & { readonly reason: ConflictReason; readonly heldBy: Holder | undefined };
}

type Listener<N extends keyof WorkflowEvents> = (event: WorkflowEvents[N]) => void;

export class Events {
  readonly #listeners = new Map<keyof WorkflowEvents, Set<Listener<never>>>();
  readonly #report: (error: unknown) => void;

  /** @param report gets what a listener throws: it must not break an execution. */
  constructor(report: (error: unknown) => void) {
    this.#report = report;
  }

  on<N extends keyof WorkflowEvents>(name: N, listener: Listener<N>): () => void {
    if (typeof listener !== "function") throw new TypeError("listener must be a function");
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners);
    // Wrapped, so that the same function can be added twice and each `off` ends its own.
    const own: Listener<N> = (event) => listener(event);
    listeners.add(own as Listener<never>);
    return () => void listeners.delete(own as Listener<never>);
  }

  emit<N extends keyof WorkflowEvents>(name: N, event: WorkflowEvents[N]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      try {
        (listener as Listener<N>)(event);
      } catch (error) {
        this.#report(error);
      }
    }
  }
}
