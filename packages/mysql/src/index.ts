export { backend } from "./backend.js";
export type { MysqlConnection, MysqlError, MysqlPool, MysqlPromisePool, QueryOptions } from "./client.js";
export { mysqlDriver } from "./driver.js";
export type { MysqlTransaction } from "./guard.js";
export { mysqlGuard } from "./guard.js";
export type { MysqlDriverOptions } from "./options.js";
export { schemaSql } from "./schema.js";
