/** What would be published is sound: publint and attw judge each package as it is packed. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { command, each } from "../command.js";
import { type Check, filesUnder, type Package, packagesOf } from "../workspace.js";

export const published: Check = {
  name: "publint and attw",
  async run(root) {
    const found = await each(packagesOf(root), (one) => judge(root, one));
    return found.flat();
  },
};

/** Judging takes seconds, so a package that was found sound is not judged again until something in it changes. */
async function judge(root: string, one: Package): Promise<string[]> {
  const seen = join(root, "node_modules/.cache/dlock-check", `${one.name}.sound`);
  const fingerprint = fingerprintOf(root, one.folder);
  if (existsSync(seen) && readFileSync(seen, "utf8") === fingerprint) return [];
  const faults = await judgeNow(root, one);
  if (faults.length === 0) {
    mkdirSync(join(seen, ".."), { recursive: true });
    writeFileSync(seen, fingerprint);
  }
  return faults;
}

async function judgeNow(root: string, { name, folder }: Package): Promise<string[]> {
  const destination = mkdtempSync(join(tmpdir(), "dlock-pack-"));
  const tool = (file: string) => join(root, "node_modules/.bin", file);
  try {
    const packed = await command(tool("pnpm"), ["pack", "--pack-destination", destination], { cwd: folder });
    const archive = readdirSync(destination).find((file) => file.endsWith(".tgz"));
    if (!packed.ok || archive === undefined) return [`packages/${name}: pnpm pack failed: ${packed.output}`];
    const path = join(destination, archive);
    const attwArgs = ["--profile", "esm-only", "--format", "ascii", "--no-color", "--no-emoji", path];
    const [publint, attw] = [
      await command(tool("publint"), ["--strict", path], { cwd: root, env: { ...process.env, NO_COLOR: "1" } }),
      await command(tool("attw"), attwArgs, { cwd: root }),
    ];
    return [
      ...(publint.ok ? [] : [`packages/${name}: publint: ${publint.output}`]),
      ...(attw.ok ? [] : [`packages/${name}: attw: ${attw.output}`]),
    ];
  } finally {
    rmSync(destination, { recursive: true, force: true });
  }
}

/** Of everything that goes into the archive, and of the tools that judge it. */
function fingerprintOf(root: string, folder: string): string {
  const built = filesUnder(join(folder, "dist"), ".js", ".d.ts");
  const paths = [join(root, "package.json"), join(folder, "package.json"), join(folder, "README.md"), ...built];
  const hash = createHash("sha256");
  for (const path of paths) hash.update(`${path}\0`).update(existsSync(path) ? readFileSync(path) : "absent");
  return hash.digest("hex");
}
