/** How `mysql:` and `mariadb:` URLs and sections of a config become drivers. */
import { type BackendSection, checkSection, type LockDriver } from "@dlock/core";
import { mysqlDriver } from "./driver.js";
import type { MysqlDriverOptions } from "./options.js";
import { schemaSql } from "./schema.js";

export const backend = {
  /** @throws RangeError for a query parameter that does not exist or a value that makes no sense. */
  fromUrl(url: URL): LockDriver {
    return mysqlDriver({ url });
  },
  /** The options of `mysqlDriver`. @throws TypeError or RangeError for anything else. */
  fromConfig(section: BackendSection, path: string): LockDriver {
    const sources = { url: "object", connection: "objects", pool: "object" } as const;
    const rest = { table: "string", schema: "string", createTable: "boolean", connections: "number" } as const;
    checkSection(path, section, { ...sources, ...rest }, Object.keys(sources));
    return mysqlDriver(section as MysqlDriverOptions);
  },
  schemaSql,
};
