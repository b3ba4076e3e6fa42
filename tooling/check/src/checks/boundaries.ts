/** Who may import whom, and who may look at the clock. */
import { readFileSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { importsOf, lineOf, SyntaxKind, tokensOf } from "../tokens.js";
import { type Check, filesUnder, packagesOf } from "../workspace.js";

/** Beside themselves, `node:` and, for all but core, `@dlock/core`. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  core: [],
  memory: [],
  sqlite: ["better-sqlite3"],
  redis: ["ioredis"],
  mysql: ["mysql2"],
  etcd: ["etcd3"],
  workflow: [],
  // What is not published goes into the files of the package.
  cli: ["commander", "@dlock-tooling/torture"],
};

/** Everyone else asks core's clock, so that a virtual one can take its place. */
const timeNames = new Set(["setTimeout", "setInterval", "setImmediate", "Date", "performance"]);
const timeModules = new Set(["node:timers", "node:timers/promises", "node:perf_hooks"]);
const clockFile = join("packages", "core", "src", "clock.ts");

/** Uses that are no measure of time, each with its reason. */
const exceptions: Readonly<Record<string, string>> = {
  [join("packages", "sqlite", "src", "queue.ts")]: "setImmediate", // Gives the event loop its turn; no time passes that could be virtual.
};

export const boundaries: Check = {
  name: "boundaries",
  run(root) {
    return packagesOf(root).flatMap(({ name, folder }) => {
      const allowed = mayImport[name];
      if (allowed === undefined) return [`packages/${name}: no rule says what this package may import; add one to boundaries.ts`];
      const src = join(folder, "src");
      return filesUnder(src, ".ts").flatMap((path) => {
        const source = readFileSync(path, "utf8");
        const file = relative(root, path);
        return [...foreignImports(file, source, path, src, name, allowed), ...namesOfTime(file, source)];
      });
    });
  },
};

function foreignImports(file: string, source: string, path: string, src: string, name: string, allowed: readonly string[]): string[] {
  const isContract = file === join("packages", "core", "src", "driver.ts");
  return importsOf(source).flatMap(({ specifier, start }) => {
    const where = `${file}:${lineOf(source, start)}`;
    if (isContract) return [`${where}: the driver contract imports nothing, not even ${specifier}`];
    if (timeModules.has(specifier)) return [`${where}: only core's clock.ts deals with time, so no ${specifier}`];
    if (specifier.startsWith("node:")) return [];
    if (specifier.startsWith("."))
      return resolve(dirname(path), specifier).startsWith(src + sep) ? [] : [`${where}: ${specifier} lies outside of the package`];
    const wanted = name === "core" ? allowed : [...allowed, "@dlock/core"];
    return wanted.some((each) => specifier === each || specifier.startsWith(`${each}/`))
      ? []
      : [`${where}: packages/${name} may not import ${specifier}`];
  });
}

function namesOfTime(file: string, source: string): string[] {
  if (file === clockFile) return [];
  const tokens = tokensOf(source);
  return tokens.flatMap(({ kind, text, start }, index) => {
    const isMember = tokens[index - 1]?.kind === SyntaxKind.DotToken;
    if (kind !== SyntaxKind.Identifier || isMember || !timeNames.has(text) || exceptions[file] === text) return [];
    return [`${file}:${lineOf(source, start)}: only core's clock.ts names ${text}; take the time from a Clock`];
  });
}
