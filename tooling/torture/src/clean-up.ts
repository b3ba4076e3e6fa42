/** What the killed have left behind: their locks are freed and the records of the run removed, and nothing of anyone else's is touched. */
import { createLockProviderFromUrl } from "@dlock/core";

/** @param keyPrefix that of all keys of the run, whose processes have ended. */
export async function cleanUp(url: string, keyPrefix: string): Promise<void> {
  const locks = await createLockProviderFromUrl(url, { sweepIntervalMs: 0 });
  try {
    for await (const { key, owner } of locks.list({ prefix: keyPrefix })) await locks.unlock(key, owner);
    // Records of ended leases, whoever had them: what every provider does each minute.
    await locks.sweep();
  } finally {
    await locks.close();
  }
}
