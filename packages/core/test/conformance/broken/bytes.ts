/** Drivers that break R11: they take one name for another. */
import type { Holder } from "../../../src/index.ts";
import { acquiring, ask, type Broken, both, call, extending, free, naming, prolong, releasing } from "../faults.ts";

const rule = "R11";

/** Cuts to so many bytes of UTF-8. */
const cut = (text: string, bytes: number) => Buffer.from(text).subarray(0, bytes).toString("latin1");

/** Shows for a key the holders of every key that `matches` it. */
const confusing =
  (matches: (pattern: string, key: string) => boolean): Broken["breaks"] =>
  (honest) => ({
    ...honest,
    async inspect(pattern) {
      const shown: Holder[] = [];
      for await (const { key, ...holder } of honest.list({})) if (matches(pattern, key)) shown.push(holder);
      return shown;
    },
  });

/** Mistakes every owner for `name(owner)`. */
const owning = (name: (owner: string) => string) =>
  both(
    acquiring((claim, honest) => ask(honest, { ...claim, owner: name(claim.owner) })),
    extending((claim, honest) => prolong(honest, { ...claim, owner: name(claim.owner) })),
    releasing((claim, honest) => free(honest, { ...claim, owner: name(claim.owner) })),
  );

/** Keeps metadata as `kept(metadata)`. */
const describing = (kept: (metadata: string) => string) =>
  acquiring(({ metadata, ...claim }, honest) => ask(honest, metadata === undefined ? claim : { ...claim, metadata: kept(metadata) }));

const decoded = (key: string) => {
  try {
    return decodeURIComponent(key);
  } catch {
    // Not an encoding: such keys this fault leaves alone.
    return key;
  }
};

const literally = (text: string) => text.replace(/[.+^${}()|[\]\\*?]/g, "\\$&");
const like = (pattern: string) => new RegExp(`^${literally(pattern).replaceAll("%", ".*").replaceAll("_", ".")}$`, "s");

export const bytes: readonly Broken[] = [
  { name: "ignores case", rule, breaks: naming((key) => key.toLowerCase()) },
  { name: "ignores accents", rule, breaks: naming((key) => key.normalize("NFD").replace(/\p{M}/gu, "")) },
  { name: "brings keys into a normal form", rule, breaks: naming((key) => key.normalize("NFC")) },
  { name: "cuts trailing blanks", rule, breaks: naming((key) => key.trimEnd()) },
  { name: "takes keys for patterns", rule, breaks: confusing((pattern, key) => like(pattern).test(key)) },
  { name: "looks only between braces", rule, breaks: naming((key) => /\{([^}]+)\}/.exec(key)?.[1] ?? key) },
  { name: "takes backslashes for escapes", rule, breaks: naming((key) => key.replace(/\\(.?)/gs, "$1")) },
  { name: "ends keys at a zero byte", rule, breaks: naming((key) => key.split("\0")[0] as string) },
  { name: "knows three bytes of a character", rule, breaks: naming((key) => key.replace(/[\u{10000}-\u{10ffff}]/gu, "?")) },
  { name: "takes a key for all that start with it", rule, breaks: confusing((pattern, key) => key.startsWith(pattern)) },
  { name: "decodes keys as parts of a URL", rule, breaks: naming(decoded) },
  { name: "keeps 254 bytes of a key", rule, breaks: naming((key) => cut(key, 254)) },
  { name: "drops a prefix that is there already", rule, breaks: naming((key) => key.replace(/^lock:?/, "")) },
  { name: "ignores the case of owners", rule, breaks: owning((owner) => owner.toLowerCase()) },
  { name: "cuts metadata at 255 bytes", rule, breaks: describing((metadata) => metadata.slice(0, 255)) },
  { name: "trims metadata", rule, breaks: describing((metadata) => metadata.trim()) },
  {
    name: "finds no key that is longer than 255 characters when escaped",
    rule,
    breaks: (honest) => ({
      ...honest,
      inspect: async (key) => (encodeURIComponent(key).length > 255 ? [] : honest.inspect(key, call)),
    }),
  },
];
