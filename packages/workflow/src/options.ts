/** The options of this layer: types, defaults, and the one place where they are checked. */
import { checkSection, type Logger } from "@dlock/core";

/** What may be said of workflow locks as a whole. */
export interface WorkflowOptions {
  /** Effect: gets a line when a lock is acquired, refused and released; anything shaped like pino. @default silence */
  logger?: Logger;
  /** Effect: how long an execution's lease outlives a process that died; live ones renew it. Unit: ms. Range: 10 to 2^31 − 1. @default 300,000 */
  executionTtlMs?: number;
  /** Effect: the same for a template's lease. Unit: ms. Range: 10 to 2^31 − 1. @default 600,000 */
  templateTtlMs?: number;
  /** Effect: how often `lockWorkflowTemplate` tries again. Range: 0 to 2^31 − 1. @default 2 */
  templateRetryCount?: number;
  /** Effect: the time between those tries; a release is noticed earlier. Unit: ms. Range: 0 to 2^31 − 1. @default 1,000 */
  templateRetryDelayMs?: number;
}

/** What concerns the waiting and the context of one lock. */
export interface WorkflowLockOptions {
  /** Effect: ends the wait; the call rejects with `signal.reason`. It has no effect once the lock is held. */
  signal?: AbortSignal;
  /** Effect: inside an execution that holds the same template, take part in its hold instead of waiting for it. @default false */
  reentrant?: boolean;
  /** Effect: says that the execution around this call does not wait for it, so that waiting for its locks is no deadlock. @default false */
  detached?: boolean;
}

export interface TemplateLockOptions extends WorkflowLockOptions {
  /** Effect: so many may hold the template at a time. Range: 1 to 1,000,000. @default 1: an exclusive lock */
  limit?: number;
}

export interface RunOptions extends WorkflowLockOptions {
  /** Effect: the body runs under the template's lock too, both or none. @default the execution's lock only */
  templateId?: string;
  /** Effect: so many executions of the template run at a time. Range: 1 to 1,000,000; needs `templateId`. @default 1 */
  templateLimit?: number;
  /**
   * Effect: what to do when the execution is running elsewhere. `skip`: nothing, the result says so. `fail`: throw
   * WorkflowAlreadyRunningError. `wait`: run it afterwards. @default "skip"
   */
  onConflict?: "skip" | "fail" | "wait";
  /**
   * Effect: how long to wait for a free place of the template, and with `onConflict: "wait"` for the execution too; nothing is held meanwhile.
   * Unit: ms. Range: 0 to 2^31 − 1. @default 2,000; with "wait" 10,000
   */
  waitMs?: number;
}

/** @throws TypeError or RangeError that names the option and what is accepted. */
export function resolveWorkflowOptions(
  options: WorkflowOptions,
): Required<Omit<WorkflowOptions, "logger">> & Pick<WorkflowOptions, "logger"> {
  check("options", options, {
    logger: "object",
    executionTtlMs: "number",
    templateTtlMs: "number",
    templateRetryCount: "number",
    templateRetryDelayMs: "number",
  });
  const resolved = {
    executionTtlMs: 300_000,
    templateTtlMs: 600_000,
    templateRetryCount: 2,
    templateRetryDelayMs: 1_000,
    ...options,
  };
  checkRange("options.executionTtlMs", resolved.executionTtlMs, 10);
  checkRange("options.templateTtlMs", resolved.templateTtlMs, 10);
  checkRange("options.templateRetryCount", resolved.templateRetryCount, 0);
  checkRange("options.templateRetryDelayMs", resolved.templateRetryDelayMs, 0);
  return resolved;
}

const lockShape = { signal: "object", reentrant: "boolean", detached: "boolean" } as const;

/** @throws TypeError or RangeError that names the option and what is accepted. */
export function checkLockOptions(options: WorkflowLockOptions): void {
  check("options", options, lockShape);
}

/** @throws TypeError or RangeError that names the option and what is accepted. */
export function checkTemplateOptions(options: TemplateLockOptions): void {
  check("options", options, { ...lockShape, limit: "number" });
  if (options.limit !== undefined) checkLimit("options.limit", options.limit);
}

/** @throws TypeError or RangeError that names the option and what is accepted. */
export function checkRunOptions(options: RunOptions): void {
  const shape = { templateId: "string", templateLimit: "number", onConflict: "string", waitMs: "number" } as const;
  check("options", options, { ...lockShape, ...shape });
  const { templateId, templateLimit, onConflict = "skip", waitMs = 0 } = options;
  if (templateId !== undefined) checkId("options.templateId", templateId);
  if (templateLimit !== undefined) {
    if (templateId === undefined) throw new TypeError("options.templateLimit needs options.templateId");
    checkLimit("options.templateLimit", templateLimit);
  }
  if (!["skip", "fail", "wait"].includes(onConflict)) throw new RangeError(`options.onConflict must be "skip", "fail" or "wait"`);
  checkRange("options.waitMs", waitMs, 0);
}

/** @throws TypeError unless `id` is a string with something in it; core says what is too long. */
export function checkId(name: string, id: unknown): asserts id is string {
  if (typeof id !== "string" || id === "")
    throw new TypeError(`${name} must be a string that is not empty, got ${id === "" ? '""' : `a value of type ${typeof id}`}`);
}

function check(path: string, options: object, shape: Parameters<typeof checkSection>[2]): void {
  if (typeof options !== "object" || options === null)
    throw new TypeError(`${path} must be an object, got ${options === null ? "null" : `a ${typeof options}`}`);
  checkSection(path, { ...options }, shape);
}

function checkLimit(name: string, limit: number): void {
  checkRange(name, limit, 1, 1_000_000);
  if (!Number.isInteger(limit)) throw new RangeError(`${name} must be a whole number, got ${limit}`);
}

function checkRange(name: string, value: number, least: number, most = 2 ** 31 - 1): void {
  if (!(value >= least && value <= most)) throw new RangeError(`${name} must be a number from ${least} to ${most}, got ${value}`);
}
