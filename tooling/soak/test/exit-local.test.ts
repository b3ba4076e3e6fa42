/** Processes with locks that need no server end after close(). */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, test } from "vitest";
import { expectEnd, states } from "./support/exit.ts";

describe.each(["memory", "sqlite"])("a process with %s", (backend) => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "dlock-exit-"));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test.each(states)("that is %s ends after close()", async (state) => {
    await expectEnd(backend === "memory" ? "memory:exit" : `sqlite:${encodeURI(join(folder, "exit.db"))}`, state);
  });
});
