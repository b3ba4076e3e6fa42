/** Database files of the tests: each in a folder of its own that is removed after the test file. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "dlock-sqlite-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** The path of a database that does not exist yet. */
export function temporaryFile(): string {
  return join(temporaryFolder(), "locks.db");
}
