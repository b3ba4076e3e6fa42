/** What `dlock torture` is made of. */
export type { Judgement } from "./check/judge.js";
export type { GivenOptions, TortureOptions } from "./options.js";
export { readOptions } from "./options.js";
export { report } from "./report.js";
export type { Verdict } from "./run.js";
export { providers, torture } from "./run.js";
export type { Target } from "./target.js";
export { faultsAt, isInMemory, targetAt } from "./target.js";
