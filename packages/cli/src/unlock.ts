/** `dlock unlock`: frees a key from outside, for when its holder is known to be gone. */
import type { Holder, LockProvider } from "@dlock/core";
import { type Command, Option } from "commander";
import { jsonOption, urlOption } from "./arguments.js";
import { withProvider } from "./connect.js";
import { exitCodes } from "./exit-codes.js";
import { complain, name, print, printJson } from "./show.js";

interface UnlockOptions {
  readonly url: string;
  readonly owner?: string;
  readonly force?: true;
  readonly json?: true;
}

export function addUnlock(program: Command): void {
  const unlocking = program
    .command("unlock")
    .description("free a key whose holder is gone")
    .argument("<key>", "the key")
    .addOption(new Option("--owner <owner>", "the holder to free it from, as inspect shows it").conflicts("force"))
    .option("--force", "free it from everyone; who still holds it learns of the loss at its next renewal")
    .addOption(urlOption())
    .addOption(jsonOption());
  unlocking.action(async (key: string, options: UnlockOptions) => {
    if (options.owner === undefined && options.force === undefined) unlocking.error("error: say from whom: --owner OWNER, or --force");
    process.exitCode = await unlock(key, options);
  });
}

async function unlock(key: string, { url, owner, json }: UnlockOptions): Promise<number> {
  const released = await withProvider(url, (locks) => release(locks, key, owner));
  if (json) printJson({ key, released: released.map((holder) => ({ owner: holder.owner, token: String(holder.token) })) });
  else for (const holder of released) print(`freed ${name(key)} from ${name(holder.owner)}`);
  if (released.length > 0) return exitCodes.ok;
  if (owner !== undefined) complain(`${name(key)} is not held by ${name(owner)}`);
  else if (!json) print(`${name(key)} is free`);
  // Whoever forces wants the key to be free, and it is; whoever names an owner was wrong about it.
  return owner === undefined ? exitCodes.ok : exitCodes.notHeld;
}

async function release(locks: LockProvider, key: string, owner: string | undefined): Promise<Holder[]> {
  const released: Holder[] = [];
  for (const holder of await locks.inspect(key)) {
    if ((owner === undefined || owner === holder.owner) && (await locks.unlock(key, holder.owner))) released.push(holder);
  }
  return released;
}
