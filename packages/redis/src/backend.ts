/** How `redis:` and `rediss:` URLs become drivers. */
import type { LockDriver } from "@dlock/core";
import { redisDriver } from "./driver.js";

export const backend = {
  /** @throws RangeError for a query parameter that does not exist or a value that makes no sense. */
  fromUrl(url: URL): LockDriver {
    return redisDriver({ url });
  },
};
