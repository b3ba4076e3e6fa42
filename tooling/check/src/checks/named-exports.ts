/** An `index.ts` names every export: what a package shows is then decided there, not wherever someone writes `export`. */
import { readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { lineOf, SyntaxKind, tokensOf } from "../tokens.js";
import { type Check, filesUnder, foldersOf } from "../workspace.js";

export const namedExports: Check = {
  name: "named exports",
  run(root) {
    const folders = [...foldersOf(root, "packages"), ...foldersOf(root, "tooling")];
    return folders
      .flatMap((folder) => filesUnder(join(folder, "src"), ".ts"))
      .flatMap((path) => {
        const source = readFileSync(path, "utf8");
        const tokens = tokensOf(source);
        return tokens.flatMap(({ kind, start }, index) => {
          const next = tokens[index + 1]?.kind === SyntaxKind.TypeKeyword ? tokens[index + 2] : tokens[index + 1];
          if (kind !== SyntaxKind.ExportKeyword || next?.kind !== SyntaxKind.AsteriskToken) return [];
          return [`${relative(root, path)}:${lineOf(source, start)}: name each export instead of exporting everything`];
        });
      });
  },
};
