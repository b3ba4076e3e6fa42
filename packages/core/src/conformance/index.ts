export { cases } from "./cases.js";
export type { Client, Grant, Refusal, Wish } from "./client.js";
export type { Context } from "./context.js";
export { runCase, runConformance } from "./run.js";
export type { ConformanceCase, ConformanceRunner, ConformanceSetup, ConformanceTest, Rule } from "./types.js";
