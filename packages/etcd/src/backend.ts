/** How `etcd:` URLs become drivers. */
import type { LockDriver } from "@dlock/core";
import { etcdDriver } from "./driver.js";

export const backend = {
  /** See `EtcdDriverOptions.url`. @throws RangeError for a query parameter that does not exist or a value that makes no sense. */
  fromUrl(url: URL): LockDriver {
    return etcdDriver({ url });
  },
};
