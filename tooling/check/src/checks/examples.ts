/** The examples in the texts are true: they compile against the built packages, and those that need no server run to their end. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join, relative } from "node:path";
import { command, each } from "../command.js";
import { type Example, examplesIn } from "../examples.js";
import { type Check, packagesOf, textsOf } from "../workspace.js";

interface Program extends Example {
  /** The text it stands in, relative to the checkout. */
  readonly text: string;
  /** What its file is called, without an ending. */
  readonly id: string;
}

export const examples: Check = {
  name: "examples",
  async run(root) {
    const programs = textsOf(root).flatMap((path) => {
      const text = relative(root, path);
      return examplesIn(readFileSync(path, "utf8")).map((example) => ({
        ...example,
        text,
        id: `${text.replace(/\W+/g, "-")}-${example.line}`,
      }));
    });
    const folder = mkdtempSync(join(tmpdir(), "dlock-examples-"));
    try {
      furnish(root, folder);
      const faults = await compile(root, folder, programs);
      const sound = programs.filter((program) => program.runs && !faults.some((fault) => fault.id === program.id));
      const failed = await each(sound, (program) => execute(folder, program));
      return [...faults.map(({ fault }) => fault), ...failed.flat()];
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

/** Makes a project that has every package, and everything they depend on, installed. */
function furnish(root: string, folder: string): void {
  const install = (from: string, name: string) => {
    const target = join(folder, "node_modules", name);
    mkdirSync(dirname(target), { recursive: true });
    if (!existsSync(target) && existsSync(from)) symlinkSync(from, target);
  };
  for (const { folder: from, manifest } of packagesOf(root)) {
    install(from, manifest.name as string);
    for (const name of Object.keys(manifest.dependencies ?? {})) install(join(from, "node_modules", name), name);
    const types = join(from, "node_modules/@types");
    for (const name of existsSync(types) ? readdirSync(types) : []) install(join(types, name), `@types/${name}`);
  }
  for (const name of ["vitest", "@types/node"]) install(join(root, "node_modules", name), name);
  const bin = join(folder, "bin");
  mkdirSync(bin);
  writeFileSync(join(bin, "dlock"), `#!/bin/sh\nexec "${process.execPath}" "${join(root, "packages/cli/dist/bundle/main.js")}" "$@"\n`, {
    mode: 0o755,
  });
  writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }));
  const compilerOptions = {
    target: "ES2022",
    lib: ["ES2023", "ESNext.Disposable"],
    module: "NodeNext",
    moduleDetection: "force",
    types: ["node"],
    strict: true,
    allowJs: true,
    skipLibCheck: true,
    rootDir: ".",
    outDir: "built",
  };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.ts", "*.js"] }));
}

async function compile(root: string, folder: string, programs: readonly Program[]): Promise<{ id: string; fault: string }[]> {
  const compiled = programs.filter(({ language }) => language !== "sh");
  if (compiled.length === 0) return [];
  for (const { id, language, code } of compiled) writeFileSync(join(folder, `${id}.${language}`), code);
  const { ok, output } = await command(join(root, "node_modules/.bin/tsc"), ["-p", folder, "--pretty", "false"], { cwd: folder });
  if (ok) return [];
  const faults = [...output.matchAll(/^([\w-]+)\.[tj]s\((\d+),\d+\): (.*)$/gm)].map(([, id = "", line, message]) => ({
    id,
    fault: `${compiled.find((program) => program.id === id)?.text}:${line}: ${message}`,
  }));
  return faults.length > 0 ? faults : [{ id: "", fault: `the examples could not be compiled: ${output}` }];
}

/** Each in a folder of its own, so that none finds what another left. */
async function execute(folder: string, { id, text, line, language, code }: Program): Promise<string[]> {
  const cwd = join(folder, "run", id);
  mkdirSync(cwd, { recursive: true });
  const env = { ...process.env, PATH: [join(folder, "bin"), process.env.PATH].join(delimiter) };
  const options = { cwd, env, timeoutMs: 30_000 };
  const said =
    language === "sh"
      ? await command("bash", ["-euo", "pipefail", "-c", code], options)
      : await command(process.execPath, [join(folder, "built", `${id}.js`)], options);
  return said.ok ? [] : [`${text}:${line}: the example failed: ${said.output}`];
}
