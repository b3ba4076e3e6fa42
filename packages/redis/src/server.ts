/** What a server says about itself, and what of it matters to locks. */
import type { Clock } from "@dlock/core";
import type { Redis } from "ioredis";
import type { Wire } from "./wire.js";

/** One server that holds locks, as `doctor` found it. What the user may not ask for is undefined. */
export interface ServerFacts {
  /** `host:port`. */
  readonly server: string;
  /** What runs there: `redis`, or what it calls itself, such as `valkey`. */
  readonly product: string | undefined;
  /** The product's own version, not that of the Redis which a compatible server says it is like. */
  readonly version: string | undefined;
  /** `master`, or `slave`, which takes no locks. */
  readonly role: string | undefined;
  /** What outlives a restart: `append-only file`, `snapshots` (the last seconds or minutes are lost) or `none`. */
  readonly persistence: string | undefined;
  readonly evictionPolicy: string | undefined;
  readonly replicas: number | undefined;
  /** How far the server's clock is ahead of this machine's, in milliseconds, to within half a round trip. Locks do not depend on it. */
  readonly clockOffsetMs: number;
  /** The quickest of five round trips, in milliseconds. */
  readonly roundTripMs: number;
  /** Whether scripts can be called. */
  readonly scripts: boolean;
  /** What can lose locks, a sentence each. */
  readonly warnings: readonly string[];
}

export async function examine(wire: Wire, node: Redis, clock: Clock, endsAt: number): Promise<ServerFacts> {
  const ask = (name: string, ...args: string[]) => wire.sendTo(node, name, args, endsAt);
  let roundTripMs = Number.POSITIVE_INFINITY;
  let clockOffsetMs = 0;
  for (let round = 0; round < 5; round++) {
    const start = clock.now();
    const [seconds, micros] = (await ask("time")) as [string, string];
    const tookMs = clock.now() - start;
    if (tookMs >= roundTripMs) continue;
    roundTripMs = tookMs;
    clockOffsetMs = Math.round(Number(seconds) * 1_000 + Number(micros) / 1_000 - (clock.date().getTime() - tookMs / 2));
  }
  // Without the permission the other facts still help.
  const info = String(await ask("info").catch(() => ""));
  const scripts = await ask("eval", "return 1", "0").then(
    () => true,
    () => false,
  );
  const alike = field(info, "redis_version");
  const product = field(info, "server_name") ?? (alike === undefined ? undefined : "redis");
  const version = field(info, `${product}_version`) ?? alike;
  const role = field(info, "role");
  const persistence = persistenceOf(info, await ask("config", "GET", "save").catch(() => undefined));
  const replicas = field(info, "connected_slaves");
  const evictionPolicy = field(info, "maxmemory_policy");
  const warnings: string[] = [];
  const eviction = evictionWarning(info);
  if (eviction !== undefined) warnings.push(eviction);
  if (!scripts) warnings.push("Scripts cannot be called: locks need EVAL and EVALSHA");
  if (role === "slave") warnings.push("This is a replica: locks need the master");
  if (persistence !== undefined && persistence !== "append-only file")
    warnings.push("A restart loses locks: set appendonly and appendfsync always");
  if (alike !== undefined && versionNumber(alike) < 602) warnings.push(`Redis ${alike} is older than 6.2, from which on locks work`);
  const server = `${node.options.host}:${node.options.port}`;
  const found = {
    server,
    product,
    version,
    role,
    persistence,
    evictionPolicy,
    replicas: replicas === undefined ? undefined : Number(replicas),
  };
  return { ...found, clockOffsetMs, roundTripMs, scripts, warnings };
}

/** Says so when the server may remove locks to make room: every policy but noeviction takes keys that expire, and locks do. */
export function evictionWarning(info: unknown): string | undefined {
  const policy = field(info, "maxmemory_policy");
  const most = Number(field(info, "maxmemory"));
  if (policy === undefined || policy === "noeviction" || !(most > 0)) return undefined;
  return `Redis may evict locks: maxmemory-policy is ${policy} and maxmemory is ${most} bytes; set the policy to noeviction`;
}

/** One line of INFO. */
function field(info: unknown, name: string): string | undefined {
  return new RegExp(`^${name}:(.*?)\r?$`, "m").exec(String(info))?.[1];
}

/** @param save the answer to CONFIG GET save, which a client of the user's may shape as an object. */
function persistenceOf(info: string, save: unknown): string | undefined {
  if (field(info, "aof_enabled") === "1") return "append-only file";
  const rules = Array.isArray(save) ? save[1] : (save as { save?: unknown } | undefined)?.save;
  if (typeof rules !== "string") return undefined;
  return rules === "" ? "none" : "snapshots";
}

function versionNumber(version: string): number {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major * 100 + minor;
}
