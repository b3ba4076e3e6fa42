/** Packages look alike from outside: the same fields in the same order, with the same promises. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { type Check, type Package, packagesOf } from "../workspace.js";

/** Fields in their order; those with `?` may be absent. */
const fields = [
  "name",
  "version",
  "description",
  "license",
  "type",
  "sideEffects",
  "keywords",
  "repository",
  "bin?",
  "exports",
  "files",
  "engines",
  "publishConfig",
  "scripts",
  "dependencies?",
  "devDependencies?",
];

export const manifests: Check = {
  name: "manifests",
  run(root) {
    const licence = textOf(join(root, "LICENSE"));
    return packagesOf(root).flatMap((each) => {
      const folder = relative(root, each.folder);
      const faults = faultsOf(each).map((fault) => `${folder}/package.json: ${fault}`);
      return textOf(join(each.folder, "LICENSE")) === licence
        ? faults
        : [...faults, `${folder}/LICENSE must be a copy of the one at the root`];
    });
  },
};

function faultsOf({ name, folder, manifest }: Package): string[] {
  const given = Object.keys(manifest);
  const expected = fields
    .filter((field) => !field.endsWith("?") || given.includes(field.slice(0, -1)))
    .map((field) => field.replace("?", ""));
  const faults: string[] = [];
  if (String(given) !== String(expected)) faults.push(`its fields are ${given.join(", ")}; expected ${expected.join(", ")}`);
  for (const [field, value] of Object.entries(fixed(name, folder))) {
    if (JSON.stringify(manifest[field]) !== JSON.stringify(value)) faults.push(`${field} must be ${JSON.stringify(value)}`);
  }
  const { version, description, keywords, dependencies = {} } = manifest;
  if (typeof version !== "string" || !/^\d+\.\d+\.\d+/.test(version)) faults.push("version must be a semantic version");
  if (typeof description !== "string" || description.length < 20) faults.push("description must say what the package is for");
  if (!Array.isArray(keywords) || keywords.length < 3) faults.push("keywords must hold at least three words");
  for (const [dependency, range] of Object.entries(dependencies)) {
    if (dependency.startsWith("@dlock/") && range !== "workspace:^") faults.push(`${dependency} must be depended on as workspace:^`);
    if (dependency.startsWith("@dlock-tooling/")) faults.push(`${dependency} is never published, so it cannot be a dependency`);
  }
  return faults;
}

function textOf(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, "utf8") : undefined;
}

function fixed(name: string, folder: string): Record<string, unknown> {
  // A package of many files may be built into one for each entry.
  const bundled = existsSync(join(folder, "rolldown.config.mjs"));
  const entry = (path: string) => ({
    types: `./dist/${path}.d.ts`,
    default: bundled ? `./dist/bundle/${path.replace("/index", "")}.js` : `./dist/${path}.js`,
  });
  const subpaths = readdirSync(join(folder, "src"), { withFileTypes: true })
    .filter((each) => each.isDirectory() && each.name === "conformance")
    .map((each) => [`./${each.name}`, entry(`${each.name}/index`)] as const);
  return {
    name: `@dlock/${name}`,
    license: "MIT",
    type: "module",
    sideEffects: false,
    repository: { type: "git", url: "git+https://github.com/dlock/dlock.git", directory: `packages/${name}` },
    exports: { ".": entry("index"), ...Object.fromEntries(subpaths), "./package.json": "./package.json" },
    // The maps of what is built lead to the sources; the compiler's notes are of use to nobody else.
    files: ["dist", "src", "!dist/.tsbuildinfo", "README.md"],
    engines: { node: ">=20" },
    publishConfig: { access: "public" },
    scripts: { build: bundled ? "tsc -b && rolldown --config" : "tsc -b", test: "vitest run" },
  };
}
