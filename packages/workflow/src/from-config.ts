/** Workflow locks straight from a configuration, or over a provider of a manager. */
import { createLockProviderFromConfig, type LockConfig, type LockManager, type ProviderOptions } from "@dlock/core";
import type { WorkflowOptions } from "./options.js";
import { createWorkflowLocks, makeWorkflowLocks, type WorkflowLocks } from "./workflow-locks.js";

/**
 * Workflow locks over a provider of their own, which their `close()` closes. The connection is tested first.
 *
 * @param options `instanceId` names this process in owners; the logger is the provider's too.
 * @throws what `createLockProviderFromConfig` and `createWorkflowLocks` throw; nothing stays open then.
 */
export async function createWorkflowLocksFromConfig(
  config: LockConfig,
  options: WorkflowOptions & Pick<ProviderOptions, "instanceId"> = {},
): Promise<WorkflowLocks> {
  if (typeof options !== "object" || options === null) throw new TypeError("options must be an object");
  const { instanceId, ...rest } = options;
  const { logger } = rest;
  const provider = await createLockProviderFromConfig(config, {
    ...(instanceId === undefined ? {} : { instanceId }),
    ...(logger === undefined ? {} : { logger }),
  });
  try {
    return makeWorkflowLocks(provider, rest, () => provider.close());
  } catch (error) {
    await provider.close();
    throw error;
  }
}

/**
 * Workflow locks over a provider of a manager, which goes on closing it.
 *
 * @param name of the provider; not needed when the manager has only one.
 * @throws RangeError when there is no such provider.
 */
export function workflowLocks(manager: LockManager, name?: string, options: WorkflowOptions = {}): WorkflowLocks {
  return createWorkflowLocks(manager.get(name), options);
}
