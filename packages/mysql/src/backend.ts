/** How `mysql:` and `mariadb:` URLs become drivers. */
import type { LockDriver } from "@dlock/core";
import { mysqlDriver } from "./driver.js";

export const backend = {
  /** @throws RangeError for a query parameter that does not exist or a value that makes no sense. */
  fromUrl(url: URL): LockDriver {
    return mysqlDriver({ url });
  },
};
