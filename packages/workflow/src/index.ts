export { WorkflowAlreadyRunningError } from "./errors.js";
export type { ConflictReason, ExecutionEvent, WorkflowEvents } from "./events.js";
export { createWorkflowLocksFromConfig, workflowLocks } from "./from-config.js";
export type { WorkflowLockHandle } from "./handle.js";
export type { RunOptions, TemplateLockOptions, WorkflowLockOptions, WorkflowOptions } from "./options.js";
export type { RunResult, WorkflowExecution, WorkflowLocks } from "./workflow-locks.js";
export { createWorkflowLocks } from "./workflow-locks.js";
