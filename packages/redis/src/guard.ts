/** The guard for data in Redis: a script that writes a key only for a holder that nobody has overtaken there. */
import { fenceOf, type Lock, LockLostError } from "@dlock/core";
import { type Cluster, Command, type Redis } from "ioredis";
import { script } from "./scripts.js";

export interface RedisGuardOptions {
  /** Where the guarded keys are; any server, also another one than that of the locks. Its `keyPrefix` is put before them as usual. */
  client: Redis | Cluster;
  /**
   * What the names of the fences start with: the fence of `cart:7` is `fence:{cart:7}cart:7`. All who write a key must say the same. Not
   * empty, no braces.
   *
   * @default "fence:"
   */
  prefix?: string;
}

export interface RedisGuard {
  /**
   * Sets `key` if nobody with a newer token has set it before. May be repeated with the same lock, as after an error of the connection,
   * which leaves open whether the value was set.
   *
   * @param key not empty; on a Cluster its fence lies in the same slot. With a `}` it must have a hash tag.
   * @param options.pxMs how long the value lives: a whole number from 1. Default: for ever, as its fence then does. Otherwise the fence
   * outlives the value by a day; a holder that is later than that is taken for the first.
   * @throws LockLostError (reason `fenced`) when a newer token has set the key; TypeError for what is no lock, for a shared one and for a
   * value that is no text or bytes; RangeError for a key or `pxMs` that cannot be; LockNotHeldError for a lock that is released or lost;
   * the errors of ioredis as they are.
   */
  set(lock: Lock, key: string, value: string | Buffer, options?: { pxMs?: number }): Promise<void>;
  /** Removes the fence of a key that no holder will ever set again. */
  forget(key: string): Promise<void>;
}

/** Later than this after the end of its value, a stale holder meets no fence. */
const outliveMs = 86_400_000;

/**
 * KEYS: the key, its fence. ARGV: the token, the value, and how long both live in milliseconds, or nothing. Answers 1, or 0 when refused.
 * Tokens outgrow Lua's numbers: as text of digits the longer is the greater, and of two as long the one that sorts later.
 */
const setScript = script(`
local token, last = ARGV[1], redis.call('GET', KEYS[2])
if last then
  if string.find(last, '%D') then return redis.error_reply('FOREIGN text lies under the name of the fence') end
  if #last > #token or (#last == #token and last > token) then return 0 end
end
if ARGV[3] then
  redis.call('SET', KEYS[2], token, 'PX', ARGV[4])
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
else
  redis.call('SET', KEYS[2], token)
  redis.call('SET', KEYS[1], ARGV[2])
end
return 1
`);

/**
 * Makes a guard for writes to Redis. It does not ask whether the lock is still held, which a Redis that has failed over may not know; it
 * compares tokens where the data are. So the first write of each holder shuts out all that came before.
 *
 * @throws RangeError for a prefix that is empty or holds braces.
 */
export function redisGuard({ client, prefix = "fence:" }: RedisGuardOptions): RedisGuard {
  if (prefix === "" || /[{}]/.test(prefix))
    throw new RangeError(`prefix must not be empty nor hold braces, which Redis Cluster gives a meaning: ${JSON.stringify(prefix)}`);
  const before = client.options.keyPrefix ?? "";
  // Made here, so that the client's own keyPrefix is not put before the fence, where it would move it to another slot.
  const send = (name: string, args: (string | Buffer | number)[]) =>
    client.sendCommand(new Command(name, args, { replyEncoding: "utf8" })) as Promise<unknown>;

  return {
    async set(lock, key, value, { pxMs } = {}) {
      const { token } = fenceOf(lock);
      if (typeof value !== "string" && !Buffer.isBuffer(value)) throw new TypeError("value must be a string or a Buffer");
      if (pxMs !== undefined && !(Number.isSafeInteger(pxMs) && pxMs >= 1))
        throw new RangeError(`pxMs must be a whole number of milliseconds from 1, got ${String(pxMs)}`);
      const name = before + key;
      const lives = pxMs === undefined ? [] : [pxMs, pxMs + outliveMs];
      const args = [2, name, fenceName(prefix, name), String(token), value, ...lives];
      const answer = await send("evalsha", [setScript.sha, ...args]).catch((error: Error) => {
        if (!error.message.includes("NOSCRIPT")) throw error;
        return send("eval", [setScript.source, ...args]);
      });
      if (answer !== 1) throw new LockLostError(lock.key, "fenced");
    },
    async forget(key) {
      await send("del", [fenceName(prefix, before + key)]);
    },
  };
}

/** In the slot of the key, and the fence of no other key: what stands in the first braces decides on the slot. */
function fenceName(prefix: string, name: string): string {
  const [, tag = name] = /^[^{]*\{([^}]+)\}/.exec(name) ?? [];
  if (name === "") throw new RangeError("key must not be empty");
  if (tag.includes("}")) throw new RangeError(`a key with a "}" must have a hash tag, as in "{user:7}:cart": ${JSON.stringify(name)}`);
  return `${prefix}{${tag}}${name}`;
}
