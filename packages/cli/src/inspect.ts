/** `dlock inspect`: who holds a key. */
import type { Command } from "commander";
import { jsonOption, urlOption } from "./arguments.js";
import { withProvider } from "./connect.js";
import { describeHolder, holderToJson, name, print, printJson } from "./show.js";

interface InspectOptions {
  readonly url: string;
  readonly json?: true;
}

export function addInspect(program: Command): void {
  program
    .command("inspect")
    .description("show who holds a key")
    .argument("<key>", "the key")
    .addOption(urlOption())
    .addOption(jsonOption())
    .action(inspect);
}

async function inspect(key: string, { url, json }: InspectOptions): Promise<void> {
  const holders = await withProvider(url, (locks) => locks.inspect(key));
  if (json) printJson({ key, holders: holders.map(holderToJson) });
  else if (holders.length === 0) print(`${name(key)} is free`);
  else for (const holder of holders) print(`${name(key)} is held (${holder.mode}, token ${holder.token}) by ${describeHolder(holder)}`);
}
