export { backend } from "./backend.js";
export type { RedisLockDriver } from "./driver.js";
export { redisDriver } from "./driver.js";
export type { RedisGuard, RedisGuardOptions } from "./guard.js";
export { redisGuard } from "./guard.js";
export type { RedisDriverOptions } from "./options.js";
export type { ServerFacts } from "./server.js";
