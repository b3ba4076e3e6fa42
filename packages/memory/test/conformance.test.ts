/** The reference driver against the whole contract. */
import { runConformance } from "@dlock/core/conformance";
import { afterAll, describe, it } from "vitest";
import { createMemoryStore, memoryDriver } from "../src/index.ts";

const store = createMemoryStore();

runConformance(
  { describe, it, concurrent: it.concurrent, afterAll },
  { create: () => memoryDriver({ store }), countRecords: () => store.size },
);
