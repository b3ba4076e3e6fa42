/** `dlock list`: every lock that is held, or those whose key starts with a prefix. */
import type { LockRecord } from "@dlock/core";
import type { Command } from "commander";
import { jsonOption, urlOption } from "./arguments.js";
import { withProvider } from "./connect.js";
import { holderToJson, name, note, print, printJson, span, table } from "./show.js";

interface ListOptions {
  readonly url: string;
  readonly prefix?: string;
  readonly json?: true;
}

export function addList(program: Command): void {
  program
    .command("list")
    .description("list the locks that are held")
    .option("--prefix <prefix>", "only keys that start with it")
    .addOption(urlOption())
    .addOption(jsonOption())
    .action(list);
}

async function list({ url, prefix, json }: ListOptions): Promise<void> {
  const records = await withProvider(url, async (locks) => {
    const found: LockRecord[] = [];
    for await (const record of locks.list(prefix === undefined ? {} : { prefix })) found.push(record);
    return found;
  });
  records.sort((a, b) => (a.key === b.key ? Number(a.token - b.token) : a.key < b.key ? -1 : 1));
  if (json) printJson(records.map((record) => ({ key: record.key, ...holderToJson(record) })));
  else if (records.length === 0) print("no lock is held");
  else for (const line of table([headings, ...records.map(row)])) print(line);
}

const headings = ["KEY", "MODE", "HELD FOR", "ENDS IN", "TOKEN", "OWNER", "NOTE"];

function row({ key, mode, heldMs, remainingMs, token, owner, metadata = "" }: LockRecord): string[] {
  return [name(key), mode, span(heldMs), span(remainingMs), String(token), name(owner), note(metadata)];
}
