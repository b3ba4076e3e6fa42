/** The program: what all commands have in common, and the list of them. */
import { Command } from "commander";
import { addDoctor } from "./doctor.js";
import { addInspect } from "./inspect.js";
import { addList } from "./list.js";
import { addRun } from "./run.js";
import { addSchema } from "./schema.js";
import { addTorture } from "./torture.js";
import { addUnlock } from "./unlock.js";

/** One line for each command; each has a file of its own. */
const commands = [addRun, addInspect, addList, addUnlock, addDoctor, addSchema, addTorture];

export function createProgram(version: string): Command {
  const program = new Command("dlock")
    .description("Locks that many processes agree on")
    .version(version)
    // What follows the name of a command is that command's alone, `--` included.
    .enablePositionalOptions()
    .showHelpAfterError("(see dlock --help)")
    // Usage errors are thrown, so that they get the exit code of usage errors.
    .exitOverride();
  for (const add of commands) add(program);
  return program;
}
