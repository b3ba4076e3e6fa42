/** What servers count themselves: the work they were asked for, as they saw it. */
import type { Redis } from "ioredis";
import type { Connection, RowDataPacket } from "mysql2/promise";

/**
 * How often these commands ran so far. INFO commandstats counts what scripts call too, hence the names of those that a client sends itself;
 * without names, all but the INFO that asks.
 */
export async function redisCommands(admin: Redis, names?: readonly string[]): Promise<number> {
  const stats = await admin.info("commandstats");
  const counts = [...stats.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm)].filter(([, name = ""]) => names?.includes(name) ?? name !== "info");
  return counts.reduce((sum, [, , count]) => sum + Number(count), 0);
}

/** Statements that clients have sent so far, prepared or not; each reading is one of them. */
export async function mysqlStatements(admin: Connection): Promise<number> {
  const [rows] = await admin.query<RowDataPacket[]>("SHOW GLOBAL STATUS LIKE 'Questions'");
  return Number(rows[0]?.Value);
}

/** Messages that clients have sent so far; reading it is none. */
export async function etcdMessages(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const counts = [...text.matchAll(/^grpc_server_msg_received_total\{[^}]*\} (\S+)$/gm)].map(([, count]) => Number(count));
  return counts.reduce((sum, each) => sum + each, 0);
}
