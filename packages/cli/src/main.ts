#!/usr/bin/env node
/** The entry of the `dlock` command: runs the program and turns its errors into a line and an exit code. */
import { createRequire } from "node:module";
import { CommanderError } from "commander";
import { exitCodeOf } from "./exit-codes.js";
import { createProgram } from "./program.js";
import { complain } from "./show.js";

const { version } = createRequire(import.meta.url)("@dlock/cli/package.json") as { version: string };

try {
  await createProgram(version).parseAsync();
} catch (error) {
  // Commander has said its own already.
  if (!(error instanceof CommanderError)) complain(error instanceof Error ? error.message : String(error));
  process.exitCode = exitCodeOf(error);
}
