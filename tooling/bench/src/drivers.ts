/** A driver by the name of its server, with its defaults, for processes that are told which one to take. */
import type { LockDriver } from "@dlock/core";

/** @throws Error when there is none of that name. */
export async function driverOf(server: string, url: string): Promise<LockDriver> {
  switch (server) {
    case "memory":
      return (await import("@dlock/memory")).memoryDriver();
    case "sqlite":
      return (await import("@dlock/sqlite")).sqliteDriver(url);
    case "redis":
      return (await import("@dlock/redis")).redisDriver({ url });
    case "mysql":
      return (await import("@dlock/mysql")).mysqlDriver({ url });
    case "etcd":
      return (await import("@dlock/etcd")).etcdDriver({ connection: { hosts: [url] } });
    default:
      throw new Error(`no driver speaks to ${JSON.stringify(server)}`);
  }
}
