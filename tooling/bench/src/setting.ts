/** Where and with what a run takes place: the machine and the versions its figures belong to. */
import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";
import { cpus, release, totalmem, type } from "node:os";

const require = createRequire(import.meta.url);

const clients = ["ioredis", "mysql2", "etcd3", "better-sqlite3"];
const peers = [
  "redlock",
  "@sesamecare-oss/redlock",
  "redis-semaphore",
  "@verrou/core",
  "redlock-universal",
  "knex",
  "async-mutex",
  "async-lock",
  "proper-lockfile",
];
const servers = { Redis: ["redis-server", "--version"], MariaDB: ["mariadbd", "--version"], etcd: ["etcd", "--version"] } as const;

/** Where and with what a run took place; kept with its raw figures. */
export interface Setting {
  readonly date: string;
  readonly machine: string;
  readonly node: string;
  readonly servers: Readonly<Record<string, string>>;
  readonly packages: Readonly<Record<string, string>>;
  readonly quick: boolean;
}

export function settingOf(quick: boolean): Setting {
  return {
    date: new Date().toISOString().slice(0, 10),
    machine: `${cpus().length} × ${cpus()[0]?.model ?? "unknown"}, ${Math.round(totalmem() / 2 ** 30)} GB, ${type()} ${release()}`,
    node: process.version,
    servers: Object.fromEntries(Object.entries(servers).map(([name, command]) => [name, serverVersion(command)])),
    packages: Object.fromEntries([...clients, ...peers].map((name) => [name, packageVersion(name)])),
    quick,
  };
}

function serverVersion([program, ...args]: readonly [string, ...string[]]): string {
  try {
    return /\d+\.\d+\.\d+/.exec(execFileSync(program, args, { encoding: "utf8" }))?.[0] ?? "unknown";
  } catch {
    // A run of one suite needs only its own server.
    return "not installed";
  }
}

/** Read from the file: not every package lets its manifest be imported. */
function packageVersion(name: string): string {
  for (const folder of require.resolve.paths(name) ?? []) {
    try {
      return (require(`${folder}/${name}/package.json`) as { version: string }).version;
    } catch {
      // Not in this folder; the next one up.
    }
  }
  return "unknown";
}
