/** How `memory:` URLs and sections of a config become drivers. */
import { type BackendSection, checkSection, type LockDriver } from "@dlock/core";
import { memoryDriver } from "./driver.js";
import { createMemoryStore, type MemoryStore } from "./store.js";

/** Stores with a name live as long as the process, as a server would. */
const named = new Map<string, MemoryStore>();

export const backend = {
  /**
   * `memory:` has a store of its own; every `memory:name` of the process shares the store of that name.
   *
   * @throws RangeError for a query parameter; there are none.
   */
  fromUrl(url: URL): LockDriver {
    const [parameter] = url.searchParams.keys();
    if (parameter !== undefined) throw new RangeError(`unknown parameter "${parameter}" in a memory: URL, which takes none`);
    const name = url.host + url.pathname;
    if (name === "") return memoryDriver();
    const store = named.get(name) ?? createMemoryStore();
    named.set(name, store);
    return memoryDriver({ store });
  },
  /** An empty section, or none, is a store of its own. @throws TypeError for anything but a `url`. */
  fromConfig(section: BackendSection, path: string): LockDriver {
    checkSection(path, section, { url: "object" });
    return backend.fromUrl((section.url as URL | undefined) ?? new URL("memory:"));
  },
};
