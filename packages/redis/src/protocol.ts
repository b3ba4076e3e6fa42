/**
 * What every client of the same locks must agree on: names of keys, the number of hash-slot groups, the hash that spreads keys over them, and
 * the shape of records. A change here is a new protocol version; `agreement` is what keeps two versions from locking two different keys.
 *
 * - `lock:{7}invoice:42` is the record of the key `invoice:42`, which belongs to group 7. The group is the hash tag, so everything of a group
 *   lives in one slot, and braces in the user's key mean nothing. Held exclusively the record is a string, `token(16) ownerLength(3) owner
 *   ("+" metadata)? awaited`, whose expiry is the lease's; the last byte is `.`, or `!` from the first claim that it refuses. Held by sharers
 *   it is a hash of `owner` to `expiry ms(16) token(16) ("+" metadata)?`.
 * - `lock:{7}` is the last token granted in group 7: the name no user's key can have, because keys are not empty. On a server that is not part
 *   of a Cluster, `lock:{0}` counts for all groups.
 * - `lock:{dlock}protocol` holds `agreement`.
 * - The channel on which the release of a lease is told has the name of its record. Nothing is told of one that has refused nobody: who waits
 *   has been refused, and asks again once he listens.
 */

/** Every slot of a Cluster is served by one master, so this is also the most masters that can share the work. */
export const groupCount = 32;

export const agreement = `dlock 2 groups=${groupCount} hash=fnv1a-32/utf-16`;

/** FNV-1a over the UTF-16 code units (Fowler, Noll and Vo; no allocation, unlike a hash over UTF-8). */
export function groupOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < key.length; index++) hash = Math.imul(hash ^ key.charCodeAt(index), 0x01000193);
  return (hash >>> 0) % groupCount;
}

/** The Redis keys under one prefix. */
export class Names {
  readonly agreement: string;
  readonly #prefix: string;
  readonly #groups: readonly string[];

  /** @throws RangeError when the prefix holds braces: it would take over the hash tag. */
  constructor(prefix: string) {
    if (/[{}]/.test(prefix))
      throw new RangeError(`prefix must not hold braces, which Redis Cluster gives a meaning: ${JSON.stringify(prefix)}`);
    this.#prefix = prefix;
    this.#groups = Array.from({ length: groupCount }, (_, group) => `${prefix}{${group}}`);
    this.agreement = `${prefix}{dlock}protocol`;
  }

  counter(group: number): string {
    return this.#groups[group] as string;
  }

  record(key: string, group = groupOf(key)): string {
    return (this.#groups[group] as string) + key;
  }

  /** A name in the group's slot that no record has: longer than any key may be. */
  probe(group: number): string {
    return `${this.#groups[group]}${"-".repeat(256)}`;
  }

  /** The user's key of a record; undefined for anything else that a scan may find. */
  keyOf(name: string): string | undefined {
    const [, group, key] = /^\{(\d+)\}(.+)$/s.exec(name.slice(this.#prefix.length)) ?? [];
    if (key === undefined || !name.startsWith(this.#prefix) || Number(group) !== groupOf(key)) return undefined;
    return key;
  }

  /** Matches at least the records of the keys that start with `keyPrefix`; for SCAN. */
  pattern(keyPrefix: string): string {
    const literal = (text: string) => text.replace(/[\\*?[\]^]/g, "\\$&");
    return `${literal(this.#prefix)}{*}${literal(keyPrefix)}*`;
  }
}

/** The slot of a hash tag: CRC-16/XMODEM modulo 16,384 (Redis Cluster specification). */
export function slotOf(tag: string): number {
  let crc = 0;
  for (const byte of Buffer.from(tag)) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : (crc << 1) & 0xffff;
  }
  return crc % 16_384;
}

/** Where `agreement` is kept. */
export const agreementSlot = slotOf("dlock");

const groupSlots = Array.from({ length: groupCount }, (_, group) => slotOf(String(group)));

export function slotOfGroup(group: number): number {
  return groupSlots[group] as number;
}

export function tokenText(token: bigint): string {
  return token.toString().padStart(16, "0");
}

const threeDigits = Array.from({ length: 256 }, (_, length) => String(length).padStart(3, "0"));

/** `ownerLength(3) owner`, as it follows the token in an exclusive record. An owner has at most 255 bytes. */
export function ownerText(owner: string): string {
  return threeDigits[Buffer.byteLength(owner)] + owner;
}
