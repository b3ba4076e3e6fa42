/** The error of this layer; contention for anything else keeps core's names. */
import { type Holder, LockError } from "@dlock/core";

/** The execution is running elsewhere (or here, in another task). Usually a reason to skip it, not a fault. */
export class WorkflowAlreadyRunningError extends LockError {
  readonly executionId: string;
  /** Who runs it, where the backend said so. */
  readonly holder: Holder | undefined;

  constructor(executionId: string, key: string, holder: Holder | undefined, cause?: unknown) {
    const by = holder === undefined ? "" : ` by ${holder.owner}, for ${Math.round(holder.heldMs)} ms`;
    super("DLOCK_WORKFLOW_ALREADY_RUNNING", `the workflow execution ${JSON.stringify(executionId)} is already running${by}`, {
      key,
      cause,
    });
    this.executionId = executionId;
    this.holder = holder;
  }
}
