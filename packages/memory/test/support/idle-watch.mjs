// A process with a held lease and a standing watch, and nothing else to do: it must end by itself.
import { memoryDriver } from "@dlock/memory";

const driver = memoryDriver();
await driver.acquire([{ key: "k", owner: "a", ttlMs: 600_000, mode: "exclusive" }], { timeoutMs: 1_000 });
await driver.watch({ key: "k", owner: "b" }, () => {});
process.disconnect?.();
