export type { Program } from "./process.js";
export { runNode } from "./process.js";
export type { Matcher, TcpProxy } from "./proxy.js";
export { startProxy } from "./proxy.js";
export type { WallClock } from "./wall-clock.js";
export { canStepClocks, wallClock } from "./wall-clock.js";
