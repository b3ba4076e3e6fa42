export { backend } from "./backend.js";
export { etcdDriver } from "./driver.js";
export type { EtcdDriverOptions } from "./options.js";
