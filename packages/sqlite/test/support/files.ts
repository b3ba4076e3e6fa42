/** Database files of the tests: each in a folder of its own; all are removed after the test file. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

const folders: string[] = [];

// Of the file that imports this, so that it may be used within tests too.
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "dlock-sqlite-"));
  folders.push(folder);
  return folder;
}

/** The path of a database that does not exist yet. */
export function temporaryFile(): string {
  return join(temporaryFolder(), "locks.db");
}
