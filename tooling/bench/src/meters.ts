/** What servers count themselves: the work they were asked for and the bytes they took and gave, as they saw it. */
import type { Redis } from "ioredis";
import type { Connection, RowDataPacket } from "mysql2/promise";
import type { Meter } from "./work.js";

/**
 * `commands` and `bytes`.
 *
 * @param names INFO counts what scripts call too, hence the names of those that a client sends itself; without names, all but the INFO that asks.
 */
export function redisMeter(admin: Redis, names?: readonly string[]): Meter {
  return {
    async read() {
      const stats = await admin.info("commandstats", "stats");
      const calls = [...stats.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm)];
      return {
        commands: sum(calls.filter(([, name = ""]) => names?.includes(name) ?? name !== "info").map(([, , count]) => count)),
        bytes: sum([...stats.matchAll(/^total_net_(?:input|output)_bytes:(\d+)/gm)].map(([, count]) => count)),
      };
    },
  };
}

/** `statements`, prepared or not, and `bytes`; each reading is a statement. */
export function mysqlMeter(admin: Connection): Meter {
  return {
    async read() {
      const [rows] = await admin.query<RowDataPacket[]>(
        "SHOW GLOBAL STATUS WHERE Variable_name IN ('Questions', 'Bytes_received', 'Bytes_sent')",
      );
      const values = new Map(rows.map(({ Variable_name, Value }) => [Variable_name as string, Number(Value)]));
      return {
        statements: values.get("Questions") ?? Number.NaN,
        bytes: (values.get("Bytes_received") ?? Number.NaN) + (values.get("Bytes_sent") ?? Number.NaN),
      };
    },
  };
}

/** `messages` and `bytes` that clients have sent and got by gRPC; reading them is none. */
export function etcdMeter(url: string): Meter {
  return {
    async read() {
      const text = await (await fetch(`${url}/metrics`)).text();
      const total = (name: RegExp) => sum([...text.matchAll(name)].map(([, count]) => count));
      return {
        messages: total(/^grpc_server_msg_received_total\{[^}]*\} (\S+)$/gm),
        bytes: total(/^etcd_network_client_grpc_(?:received|sent)_bytes_total (\S+)$/gm),
      };
    },
  };
}

function sum(numbers: readonly (string | undefined)[]): number {
  return numbers.reduce((all, each) => all + Number(each), 0);
}
