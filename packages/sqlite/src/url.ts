/** `sqlite:` URLs and sections of a config, for the registry of backends. */
import { type BackendSection, checkSection, decodeUrlPart, type LockDriver } from "@dlock/core";
import type { SqliteDatabase } from "./database.js";
import { type SqliteDriverOptions, sqliteDriver } from "./driver.js";

/** What the registry of `@dlock/core` loads by the name `sqlite`. */
export const backend = {
  /**
   * `sqlite:./dlock.db` (relative to the working directory) or `sqlite:/var/lib/app/dlock.db`; the query may hold the driver's options:
   * `?synchronous=normal`.
   * @throws RangeError for a URL without a path, with a host, or with a parameter that is not known or out of range.
   */
  fromUrl(url: URL): LockDriver {
    if (url.host !== "") {
      throw new RangeError(
        `a sqlite URL has no host (found ${JSON.stringify(url.host)}): write sqlite:./dlock.db or sqlite:/var/lib/dlock.db`,
      );
    }
    const path = decodeUrlPart("the path of a sqlite URL", url.pathname);
    if (path === "") throw new RangeError("a sqlite URL names a file: write sqlite:./dlock.db or sqlite:/var/lib/dlock.db");
    const options: { synchronous?: "full" | "normal" } = {};
    for (const [name, value] of url.searchParams) {
      if (name !== "synchronous") throw new RangeError(`a sqlite URL does not take the parameter ${name}: it takes synchronous`);
      if (value !== "full" && value !== "normal") throw new RangeError(`synchronous must be full or normal, not ${JSON.stringify(value)}`);
      options.synchronous = value;
    }
    return sqliteDriver(path, options satisfies SqliteDriverOptions);
  },
  /** `url`, `file` (a path) or `database` (an open one), and `synchronous` with the last two. @throws TypeError or RangeError for anything else. */
  fromConfig(section: BackendSection, path: string): LockDriver {
    checkSection(path, section, { url: "object", file: "string", database: "object", synchronous: "string" }, ["url", "file", "database"]);
    const { url, file, database, synchronous } = section as SqliteDriverOptions & { url?: URL; file?: string; database?: SqliteDatabase };
    if (url !== undefined && synchronous !== undefined) throw new TypeError(`${path}.synchronous is a parameter of ${path}.url`);
    if (url !== undefined) return backend.fromUrl(url);
    return sqliteDriver(database === undefined ? (file as string) : { database }, synchronous === undefined ? {} : { synchronous });
  },
};
