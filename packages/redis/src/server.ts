/** What a server says about itself, and what of it matters to locks. */

/** One line of INFO. */
export function infoField(info: unknown, name: string): string | undefined {
  return new RegExp(`^${name}:(.*?)\r?$`, "m").exec(String(info))?.[1];
}

/** Says so when the server may remove locks to make room: every policy but noeviction takes keys that expire, and locks do. */
export function evictionWarning(info: unknown): string | undefined {
  const policy = infoField(info, "maxmemory_policy");
  const most = Number(infoField(info, "maxmemory"));
  if (policy === undefined || policy === "noeviction" || !(most > 0)) return undefined;
  return `Redis may evict locks: maxmemory-policy is ${policy} and maxmemory is ${most} bytes; set the policy to noeviction`;
}
