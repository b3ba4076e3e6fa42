/** A copy of core's sources with one fault in it, and the simulator that runs against that copy. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { simulate } from "../simulation/simulate.ts";

/** A fault: in `file` of core's sources, `find` becomes `replace`. */
export interface Mutation {
  readonly name: string;
  readonly file: string;
  /** Must be there exactly once. */
  readonly find: string;
  readonly replace: string;
  /** From which seed on the simulator searches, where it would take long from the first. */
  readonly from?: number;
}

export interface Mutant {
  readonly simulate: typeof simulate;
  remove(): void;
}

const packages = fileURLToPath(new URL("../../../", import.meta.url));
/** What the simulator is made of; side by side as here, so that its relative imports find the copies. */
const copied = ["core/src", "core/test/simulation", "core/test/support", "memory/src"];

/** Without a mutation: the copy as it is. */
export async function makeMutant(mutation?: Mutation): Promise<Mutant> {
  const folder = mkdtempSync(join(tmpdir(), "dlock-mutant-"));
  const remove = () => rmSync(folder, { recursive: true });
  try {
    for (const path of copied) cpSync(join(packages, path), join(folder, path), { recursive: true });
    if (mutation !== undefined) apply(mutation, join(folder, "core/src", mutation.file));
    // Another path, and so another module graph.
    const module = (await import(join(folder, "core/test/simulation/simulate.ts"))) as { simulate: typeof simulate };
    return { simulate: module.simulate, remove };
  } catch (error) {
    remove();
    throw error;
  }
}

function apply({ name, file, find, replace }: Mutation, path: string): void {
  const parts = readFileSync(path, "utf8").split(find);
  if (parts.length !== 2) throw new Error(`${name}: ${file} must hold this once, and holds it ${parts.length - 1} times: ${find}`);
  writeFileSync(path, parts.join(replace));
}
