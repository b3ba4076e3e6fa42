export { backend } from "./backend.js";
export { etcdDriver } from "./driver.js";
export type { EtcdCompare } from "./guard.js";
export { etcdGuard } from "./guard.js";
export type { EtcdDriverOptions } from "./options.js";
