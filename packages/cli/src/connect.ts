/** One provider for one command: opened from the URL, closed when the command is done. */
import { createLockProviderFromUrl, type LockProvider } from "@dlock/core";

export async function withProvider<T>(url: string, body: (locks: LockProvider) => Promise<T>): Promise<T> {
  // A command is over before a sweep is due; services that stay do the sweeping.
  const locks = await createLockProviderFromUrl(url, { sweepIntervalMs: 0 });
  try {
    return await body(locks);
  } finally {
    await locks.close();
  }
}
