/** How `redis:` and `rediss:` URLs and sections of a config become drivers. */
import { type BackendSection, checkSection, type LockDriver } from "@dlock/core";
import { redisDriver } from "./driver.js";
import type { RedisDriverOptions } from "./options.js";

export const backend = {
  /** @throws RangeError for a query parameter that does not exist or a value that makes no sense. */
  fromUrl(url: URL): LockDriver {
    return redisDriver({ url });
  },
  /** The options of `redisDriver`. @throws TypeError or RangeError for anything else. */
  fromConfig(section: BackendSection, path: string): LockDriver {
    const sources = { url: "object", connection: "object", cluster: "object", client: "object" } as const;
    checkSection(path, section, { ...sources, prefix: "string", onWarning: "function" }, Object.keys(sources));
    return redisDriver(section as RedisDriverOptions);
  },
};
