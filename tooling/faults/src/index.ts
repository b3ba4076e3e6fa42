export type { Program } from "./process.js";
export { runNode } from "./process.js";
export type { Matcher, TcpProxy } from "./proxy.js";
export { startProxy } from "./proxy.js";
