export type { SqliteDatabase, SqliteStatement } from "./database.js";
export { type SqliteDriverOptions, sqliteDriver } from "./driver.js";
export { sqliteGuard } from "./guard.js";
export type { Synchronous } from "./store.js";
export { backend } from "./url.js";
