/** `dlock schema`: the SQL that creates a backend's tables, for whoever does not let it create them. */
import { findBackend } from "@dlock/core";
import type { Command } from "commander";
import { name, print } from "./show.js";

interface SchemaOptions {
  readonly table?: string;
  readonly schema?: string;
}

export function addSchema(program: Command): void {
  program
    .command("schema")
    .description("print the SQL that creates a backend's tables; it can be run again")
    .argument("<backend>", "its name, such as mysql")
    .option("--table <table>", "the first table's name, as the backend's option")
    .option("--schema <schema>", "the schema of the tables (default: that of the connection)")
    .action(schema);
}

async function schema(backend: string, options: SchemaOptions): Promise<void> {
  const { schemaSql } = await findBackend(backend);
  if (schemaSql === undefined) throw new RangeError(`the backend ${name(backend)} has no tables that could be created by hand`);
  print(schemaSql(options).trimEnd());
}
