/** The tests that `docs/seed-coverage.md` names are there: a title that is reworded, or moved to another file, is reworded there too. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { SyntaxKind, tokensOf } from "../tokens.js";
import type { Check } from "../workspace.js";

const document = "docs/seed-coverage.md";
/** `[file](../path) “title of a test in it”`. */
const named = /\[[^\]]*\]\(([^)\s]+)\) “([^”]+)”/g;

export const namedTests: Check = {
  name: "named tests",
  run(root) {
    const path = join(root, document);
    if (!existsSync(path)) return [];
    const text = readFileSync(path, "utf8");
    const titles = new Map<string, ReadonlySet<string>>();
    const absent = [...text.matchAll(named)].flatMap(([, target = "", title = ""]) => {
      const file = resolve(dirname(path), target);
      if (!existsSync(file)) return [`${document}: ${target} leads nowhere`];
      const known = titles.get(file) ?? titlesIn(readFileSync(file, "utf8"));
      titles.set(file, known);
      return known.has(title) ? [] : [`${document}: ${target} has no test “${title}”`];
    });
    const alone = [...text.replace(named, "").matchAll(/“[^”]*”/g)].map(
      ([title]) => `${document}: ${title} does not follow the link to its file`,
    );
    return [...absent, ...alone];
  },
};

/** What a call is given first, as `it("…")` and `test.each(…)("…")`, and what a conformance case has as its `name`. */
function titlesIn(source: string): ReadonlySet<string> {
  const tokens = tokensOf(source);
  return new Set(
    tokens.flatMap(({ kind, text }, index) => {
      if (kind !== SyntaxKind.StringLiteral && kind !== SyntaxKind.NoSubstitutionTemplateLiteral) return [];
      const [name, before] = [tokens[index - 2], tokens[index - 1]];
      const isNamed = before?.kind === SyntaxKind.ColonToken && name?.text === "name";
      if (!isNamed && before?.kind !== SyntaxKind.OpenParenToken) return [];
      return [text.slice(1, -1).replace(/\\(["'`\\])/g, "$1")];
    }),
  );
}
