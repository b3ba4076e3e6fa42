/** How `etcd:` URLs and sections of a config become drivers. */
import { type BackendSection, checkSection, type LockDriver } from "@dlock/core";
import { etcdDriver } from "./driver.js";
import type { EtcdDriverOptions } from "./options.js";

export const backend = {
  /** See `EtcdDriverOptions.url`. @throws RangeError for a query parameter that does not exist or a value that makes no sense. */
  fromUrl(url: URL): LockDriver {
    return etcdDriver({ url });
  },
  /** The options of `etcdDriver`. @throws TypeError or RangeError for anything else. */
  fromConfig(section: BackendSection, path: string): LockDriver {
    const sources = { url: "object", connection: "object", client: "object" } as const;
    checkSection(path, section, { ...sources, prefix: "string", strategy: "string" }, Object.keys(sources));
    return etcdDriver(section as EtcdDriverOptions);
  },
};
