/** A source file says in its first comment what it owns. An `index.ts` that only exports need not: its exports say it. */
import { readFileSync } from "node:fs";
import { basename, join, relative } from "node:path";
import { isComment, SyntaxKind, scan } from "../tokens.js";
import { type Check, filesUnder, foldersOf } from "../workspace.js";

/** With fewer words nothing is said. */
const leastWords = 3;

export const headers: Check = {
  name: "headers",
  run(root) {
    const folders = [...foldersOf(root, "packages"), ...foldersOf(root, "tooling")];
    return folders
      .flatMap((folder) => filesUnder(join(folder, "src"), ".ts"))
      .flatMap((path) => {
        const source = readFileSync(path, "utf8").replace(/^#!.*\n/, "");
        if (saysWhatItOwns(source) || (basename(path) === "index.ts" && onlyExports(source))) return [];
        return [`${relative(root, path)}: its first comment must say what the file owns`];
      });
  },
};

function saysWhatItOwns(source: string): boolean {
  const first = scan(source)[0];
  return first !== undefined && isComment(first.kind) && (first.text.match(/[\p{L}`']+/gu)?.length ?? 0) >= leastWords;
}

function onlyExports(source: string): boolean {
  let depth = 0;
  let starts = true;
  for (const { kind } of scan(source)) {
    if (isComment(kind)) continue;
    if (starts && kind !== SyntaxKind.ExportKeyword) return false;
    if (kind === SyntaxKind.OpenBraceToken) depth++;
    if (kind === SyntaxKind.CloseBraceToken) depth--;
    starts = kind === SyntaxKind.SemicolonToken && depth === 0;
  }
  return true;
}
