/** The examples in the texts: which code is in them, and what is to be done with it. */

export interface Example {
  /** The first line of its code, counted from 1. */
  readonly line: number;
  readonly language: "ts" | "js" | "sh";
  /** With the hidden lines before it, at the line numbers they have in the text. */
  readonly code: string;
  /** Whether it is executed; TypeScript that is not is still type-checked. */
  readonly runs: boolean;
}

/** What can be run anywhere: no server is needed. */
const local = /^(?:node:|\.|@dlock\/(?:core|memory|sqlite|workflow)\b|vitest$)/;

const fence = /^( *)```(\S*)(.*)$/;

/**
 * The rule: every `ts` and `js` block is a whole program. It is type-checked, and executed unless it imports a backend that needs a server or
 * its fence says `no-run`. A `sh` block is executed if its fence says `run`. An HTML comment `<!-- ts … -->` directly before a block holds
 * lines that belong to the program and that readers need not see.
 */
export function examplesIn(text: string): Example[] {
  const lines = text.split("\n");
  const found: Example[] = [];
  let hidden: { from: number; to: number } | undefined;
  for (let at = 0; at < lines.length; at++) {
    if (lines[at]?.trim() === "<!-- ts") {
      const end = lines.findIndex((line, index) => index > at && line.trim() === "-->");
      hidden = { from: at + 1, to: end };
      at = end;
      continue;
    }
    const [, indent = "", language, rest = ""] = fence.exec(lines[at] ?? "") ?? [];
    if (language === undefined) {
      if (lines[at]?.trim() !== "") hidden = undefined;
      continue;
    }
    const end = lines.findIndex((line, index) => index > at && line.startsWith(`${indent}\`\`\``));
    if (end < 0) throw new Error(`line ${at + 1}: this block has no end`);
    if (language === "ts" || language === "js" || language === "sh") {
      const isHidden = (index: number) => hidden !== undefined && index >= hidden.from && index < hidden.to;
      const kept = lines.slice(0, end).map((line, index) => (index > at || isHidden(index) ? line.slice(indent.length) : ""));
      const code = language === "sh" ? lines.slice(at + 1, end).join("\n") : kept.join("\n");
      const words = rest.trim().split(/\s+/);
      found.push({
        line: at + 2,
        language,
        code,
        runs: language === "sh" ? words.includes("run") : !words.includes("no-run") && isLocal(code),
      });
    }
    hidden = undefined;
    at = end;
  }
  return found;
}

function isLocal(code: string): boolean {
  const imports = [...code.matchAll(/\b(?:from|import)\s*\(?\s*"([^"]+)"/g)].map(([, specifier = ""]) => specifier);
  return imports.every((specifier) => local.test(specifier) || specifier === "better-sqlite3");
}
