/** The public surface: each package's `api.txt` shows what its built declarations export, so that a change of it is a visible diff. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { declarationsOf } from "../declarations.js";
import { type Check, type Package, packagesOf } from "../workspace.js";

export const surface: Check = {
  name: "surface",
  run(root, { update }) {
    return packagesOf(root).flatMap((each) => {
      const path = join(each.folder, "api.txt");
      const file = relative(root, path);
      let built: string;
      try {
        built = describe(each);
      } catch (error) {
        return [`${file}: ${(error as Error).message}`];
      }
      if (update) writeFileSync(path, built);
      const written = existsSync(path) ? readFileSync(path, "utf8") : "";
      return written === built ? [] : [`${file} does not show what the package exports: ${firstDifference(written, built)}`];
    });
  },
};

function describe({ folder, manifest }: Package): string {
  const entries = Object.entries(manifest.exports ?? {}).flatMap(([subpath, target]) => {
    const { types } = target as { types?: string };
    return types === undefined ? [] : [{ name: `${manifest.name}${subpath.slice(1)}`, path: join(folder, types) }];
  });
  return `${entries.map(({ name, path }) => [`# ${name}`, ...declarationsOf(path)].join("\n\n")).join("\n\n")}\n`;
}

function firstDifference(written: string, built: string): string {
  const [before, now] = [written.split("\n"), built.split("\n")];
  const at = now.findIndex((line, index) => line !== before[index]);
  const line = at < 0 ? now.length : at;
  return `line ${line + 1} is ${JSON.stringify(before[line] ?? "")}, built is ${JSON.stringify(now[line] ?? "")}; if that is meant: npm run check -- --update`;
}
