/** The checkout as the checks see it: its packages, its sources and its texts. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";

/** One thing that every change must leave true. Resolves to what is wrong, a line for each; nothing when all is well. */
export interface Check {
  readonly name: string;
  run(root: string, options: CheckOptions): Promise<readonly string[]> | readonly string[];
}

export interface CheckOptions {
  /** Write what was generated instead of comparing it. */
  readonly update: boolean;
}

export interface Package {
  /** The name of its folder. */
  readonly name: string;
  readonly folder: string;
  readonly manifest: Manifest;
}

export type Manifest = Readonly<Record<string, unknown>> & {
  readonly name?: string;
  readonly description?: string;
  readonly exports?: Readonly<Record<string, unknown>>;
  readonly dependencies?: Readonly<Record<string, string>>;
};

/** What is published: the folders of `packages/`. */
export function packagesOf(root: string): Package[] {
  return foldersOf(root, "packages").map((folder) => ({
    name: relative(join(root, "packages"), folder),
    folder,
    manifest: JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Manifest,
  }));
}

/** The folders of `group` that have a manifest. */
export function foldersOf(root: string, group: "packages" | "tooling"): string[] {
  const parent = join(root, group);
  if (!existsSync(parent)) return [];
  return readdirSync(parent)
    .sort()
    .map((name) => join(parent, name))
    .filter((folder) => existsSync(join(folder, "package.json")));
}

const notOurs = new Set(["node_modules", "dist", "CHANGELOG.md"]);

/** Every file under `folder` with one of the endings, in a stable order, without what is built or installed. */
export function filesUnder(folder: string, ...endings: readonly string[]): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .sort((one, other) => (one.name < other.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      if (notOurs.has(entry.name) || entry.name.startsWith(".")) return [];
      if (entry.isDirectory()) return filesUnder(path, ...endings);
      return endings.some((ending) => entry.name.endsWith(ending)) ? [path] : [];
    });
}

/** The texts that people read first: those of the root, of `docs/` and of each package. */
export function textsOf(root: string): string[] {
  const atRoot = ["README.md", "CONTRIBUTING.md"].map((name) => join(root, name)).filter((path) => existsSync(path));
  const ofPackages = packagesOf(root)
    .map(({ folder }) => join(folder, "README.md"))
    .filter((path) => existsSync(path));
  return [...atRoot, ...filesUnder(join(root, "docs"), ".md"), ...ofPackages];
}
