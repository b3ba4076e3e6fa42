/** Nothing is left for later: no test that does not run, no note of undone work. */
import { readFileSync } from "node:fs";
import { relative } from "node:path";
import { commentsOf, lineOf, SyntaxKind, tokensOf } from "../tokens.js";
import { type Check, filesUnder, foldersOf } from "../workspace.js";

const runners = new Set(["it", "test", "describe", "suite"]);
const modifiers = new Set(["skip", "only", "todo"]);
const notes = /\b(?:TODO|FIXME|XXX|HACK)\b/;

export const leftovers: Check = {
  name: "leftovers",
  run(root) {
    const folders = [...foldersOf(root, "packages"), ...foldersOf(root, "tooling")];
    return folders
      .flatMap((folder) => filesUnder(folder, ".ts", ".mjs"))
      .flatMap((path) => {
        const source = readFileSync(path, "utf8");
        const at = (offset: number) => `${relative(root, path)}:${lineOf(source, offset)}`;
        const tokens = tokensOf(source);
        const unrun = tokens.flatMap((token, index) => {
          const [dot, modifier] = [tokens[index + 1], tokens[index + 2]];
          if (!runners.has(token.text) || dot?.kind !== SyntaxKind.DotToken || !modifiers.has(modifier?.text ?? "")) return [];
          // A property of something else, or the conditional skip that a test asks its own context for.
          if (tokens[index - 1]?.kind === SyntaxKind.DotToken || token.kind !== SyntaxKind.Identifier) return [];
          return [`${at(token.start)}: ${token.text}.${modifier?.text}: every test runs, or is skipped by a declared capability`];
        });
        const undone = commentsOf(source)
          .filter(({ text }) => notes.test(text))
          .map(({ start }) => `${at(start)}: a note of undone work: do it, or open an issue`);
        return [...unrun, ...undone];
      });
  },
};
