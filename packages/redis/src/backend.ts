/** How `redis:` and `rediss:` URLs, and the section `redis` of a configuration, become drivers. */
import { type BackendSection, type Call, checkSection, type Examination, type LockDriver } from "@dlock/core";
import { redisDriver } from "./driver.js";
import type { RedisDriverOptions } from "./options.js";

const shape = {
  url: "object",
  client: "object",
  connection: "object",
  cluster: "object",
  prefix: "string",
  onWarning: "function",
} as const;

export const backend = {
  /** @throws RangeError for a query parameter that does not exist or a value that makes no sense. */
  fromUrl(url: URL): LockDriver {
    return redisDriver({ url });
  },
  /**
   * @param path how the section is named in errors.
   * @throws TypeError for an option that does not exist or is of the wrong type.
   */
  fromConfig(section: BackendSection, path: string): LockDriver {
    checkSection(path, section, shape, ["url", "client", "connection", "cluster"]);
    return redisDriver(section as RedisDriverOptions);
  },
  /** What `doctor` of the driver finds. */
  async examine(url: URL, call: Call): Promise<Examination[]> {
    const driver = redisDriver({ url });
    try {
      return (await driver.doctor(call)).map(({ server, warnings, ...facts }) => ({ server, warnings, facts }));
    } finally {
      await driver.close();
    }
  },
};
