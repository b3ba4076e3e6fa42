/** The tables: their SQL, whether those that are there fit, and how to get from others to them. */
import { driverError } from "@dlock/core";
import type { Answer } from "./client.js";
import { bytes, type Tables, tables } from "./sql.js";

type Columns = readonly (readonly [name: string, type: string, more: string])[];

/** Bytes, so that `job`, `JOB`, `job ` and `jób` differ; DATETIME(6), as without fraction MySQL rounds and MariaDB truncates. */
const lease: Columns = [
  ["owner", "varbinary(255)", "NOT NULL"],
  ["token", "bigint unsigned", "NOT NULL"],
  ["expires_at", "datetime(6)", "NOT NULL"],
  ["created_at", "datetime(6)", "NOT NULL"],
  ["updated_at", "datetime(6)", "NOT NULL"],
  ["metadata", "varbinary(1024)", "NULL"],
];

const leaseColumns: Columns = [
  // Not AUTO_INCREMENT: such ids are handed out before a row lock is won, so a later holder could have a smaller one.
  ["id", "bigint unsigned", "GENERATED ALWAYS AS (token) VIRTUAL"],
  ["lock_key", "varbinary(255)", "NOT NULL"],
  ...lease,
  // Whether there may be holders in the second table.
  ["shared", "tinyint unsigned", "NOT NULL DEFAULT 0"],
];

const holderColumns: Columns = [["lock_key", "varbinary(255)", "NOT NULL"], ["slot", "int unsigned", "NOT NULL"], ...lease];

const floorColumns: Columns = [
  ["id", "tinyint unsigned", "NOT NULL"],
  ["token_floor", "bigint unsigned", "NOT NULL"],
];

/**
 * The SQL that creates the tables, one statement after the other, each ended by a semicolon. It can be run again.
 *
 * @throws TypeError or RangeError for a name that cannot be one.
 */
export function schemaSql(options: { table?: string; schema?: string } = {}): string {
  return `${statements(tables(options.table, options.schema)).join(";\n")};\n`;
}

function statements({ leases, holders, floor }: Tables): string[] {
  return [
    createTable(leases, leaseColumns, "PRIMARY KEY (lock_key)"),
    createTable(holders, holderColumns, "PRIMARY KEY (lock_key, slot)"),
    createTable(floor, floorColumns, "PRIMARY KEY (id)"),
    `INSERT IGNORE INTO ${floor} (id, token_floor) VALUES (1, 0)`,
  ];
}

function createTable(name: string, columns: Columns, key: string): string {
  const lines = [...columns.map((column) => column.join(" ")), key].map((line) => `  ${line}`);
  return `CREATE TABLE IF NOT EXISTS ${name} (\n${lines.join(",\n")}\n) ENGINE = InnoDB`;
}

/** Looks at the tables, and creates those that are missing if it may. Rejects when they do not fit. */
export async function prepareSchema(run: (sql: string) => Promise<Answer>, names: Tables, mayCreate: boolean): Promise<void> {
  const { table } = names.plain;
  const wanted = [
    [table, leaseColumns],
    [`${table}_shared`, holderColumns],
    [`${table}_floor`, floorColumns],
  ] as const;
  const missing: string[] = [];
  const present: string[] = [];
  const problems: string[] = [];
  for (const [name, columns] of wanted) {
    const { engine, types } = await describeTable(run, names, name);
    (types.size === 0 ? missing : present).push(name);
    if (types.size === 0) continue;
    if (engine.toLowerCase() !== "innodb") problems.push(`${name} is kept by ${engine}, not InnoDB`);
    for (const [column, type] of columns) {
      const is = types.get(column);
      if (is !== type) problems.push(`${name}.${column} is ${is ?? "missing"}, not ${type}`);
    }
  }
  if (problems.length > 0) throw misfit(names, present, problems);
  if (missing.length === 0) return;
  if (!mayCreate) {
    throw driverError(`there is no table ${missing.join(", ")}: create it (\`dlock schema mysql\` prints the SQL), or set createTable`, {
      applied: "no",
      retryable: false,
    });
  }
  for (const sql of statements(names)) await run(sql);
}

/** One table at a time: with a condition on several the servers would open every table of the schema. */
async function describeTable(run: (sql: string) => Promise<Answer>, { plain }: Tables, name: string) {
  const within = plain.schema === undefined ? "DATABASE()" : `_utf8mb4 ${bytes(plain.schema)}`;
  const { rows } = await run(
    "SELECT c.COLUMN_NAME, c.COLUMN_TYPE, t.ENGINE FROM information_schema.COLUMNS c, information_schema.TABLES t " +
      `WHERE c.TABLE_SCHEMA = ${within} AND c.TABLE_NAME = _utf8mb4 ${bytes(name)} ` +
      `AND t.TABLE_SCHEMA = ${within} AND t.TABLE_NAME = _utf8mb4 ${bytes(name)}`,
  );
  const types = new Map<string, string>();
  let engine = "";
  for (const row of rows) {
    const [column = "", type = "", keptBy = ""] = row.map(String);
    // MariaDB and MySQL before 8.0.19 tell a display width.
    types.set(column.toLowerCase(), type.toLowerCase().replace(/int\(\d+\)/, "int"));
    engine = keptBy;
  }
  return { engine, types };
}

/** Leases live for minutes: the migration keeps the old table aside and starts anew. */
function misfit(names: Tables, found: readonly string[], problems: readonly string[]) {
  const quote = (name: string) => `\`${name.replaceAll("`", "``")}\``;
  const within = names.plain.schema === undefined ? "" : `${quote(names.plain.schema)}.`;
  const renames = found.map((name) => `${within}${quote(name)} TO ${within}${quote(`${name}_old`.slice(-64))}`);
  return driverError(
    `the lock tables do not fit this version (${problems.join("; ")}). While no lock is held, run:\n` +
      `RENAME TABLE ${renames.join(", ")};\n${statements(names).join(";\n")};`,
    { applied: "no", retryable: false },
  );
}
