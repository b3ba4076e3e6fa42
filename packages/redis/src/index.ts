export { backend } from "./backend.js";
export { redisDriver } from "./driver.js";
export type { RedisDriverOptions } from "./options.js";
