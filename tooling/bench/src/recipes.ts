/** Every way to hold a key that works between processes, by server and name, so that a process can be told which one to take. */
import type { Recipe } from "./locker.js";

export type Server = "sqlite" | "redis" | "mysql" | "etcd";

/** @throws Error when there is none of that name. */
export async function recipeOf(server: Server, name: string): Promise<Recipe> {
  const found = (await load(server)).find((recipe) => recipe.name === name);
  if (found === undefined) throw new Error(`no way to hold a key in ${server} is called ${JSON.stringify(name)}`);
  return found;
}

async function load(server: Server): Promise<readonly Recipe[]> {
  switch (server) {
    case "sqlite": {
      const { dlockOnSqlite, lockfile, sqlitePoll } = await import("./lockers/sqlite.js");
      return [dlockOnSqlite, lockfile, sqlitePoll];
    }
    case "redis": {
      const { dlockOnRedis, redisPeers } = await import("./lockers/redis.js");
      return [dlockOnRedis, ...redisPeers];
    }
    case "mysql": {
      const { dlockOnMysql, mysqlPeers } = await import("./lockers/mysql.js");
      return [dlockOnMysql, ...mysqlPeers];
    }
    case "etcd": {
      const { dlockOnEtcd, etcdPeers } = await import("./lockers/etcd.js");
      return [dlockOnEtcd, ...etcdPeers];
    }
  }
}
