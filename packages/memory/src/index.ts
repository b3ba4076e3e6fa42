export { backend } from "./backend.js";
export { type MemoryDriverOptions, memoryDriver } from "./driver.js";
export { createMemoryStore, type MemoryStore } from "./store.js";
