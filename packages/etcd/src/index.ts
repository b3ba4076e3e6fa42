export { backend, etcdDriver } from "./driver.js";
export type { EtcdDriverOptions } from "./options.js";
