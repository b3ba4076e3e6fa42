/** Links between the texts of the checkout lead somewhere. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { type Check, textsOf } from "../workspace.js";

const link = /\]\(([^)\s]+)\)/g;

export const links: Check = {
  name: "links",
  run: (root) =>
    textsOf(root).flatMap((path) => {
      const text = readFileSync(path, "utf8").replace(/^```[\s\S]*?^```/gm, "");
      return [...text.matchAll(link)].flatMap(([, target = ""]) => {
        if (/^[a-z]+:/.test(target)) return [];
        const [file = "", anchor] = target.split("#");
        const found = file === "" ? path : resolve(dirname(path), file);
        if (!existsSync(found)) return [`${relative(root, path)}: ${target} leads nowhere`];
        if (anchor === undefined || !found.endsWith(".md") || anchorsOf(found).has(anchor)) return [];
        return [`${relative(root, path)}: ${relative(root, join(found))} has no heading #${anchor}`];
      });
    }),
};

/** As GitHub makes them of headings. */
function anchorsOf(path: string): Set<string> {
  const headings = readFileSync(path, "utf8").matchAll(/^#+ (.+)$/gm);
  return new Set(
    [...headings].map(([, heading = ""]) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, "")
        .replaceAll(" ", "-"),
    ),
  );
}
