// Uses a driver of the built package, closes it, and says how long the process goes on after that.
import { redisDriver } from "../dist/index.js";

const driver = redisDriver({ url: process.argv[2] });
const claim = { key: "close", owner: `process ${process.pid}`, ttlMs: 1_000, mode: "exclusive" };
const [outcome] = await driver.acquire([claim], { timeoutMs: 500 });
console.log(outcome instanceof Error ? outcome.message : "granted");
// What cannot stand is not the subject.
const watching = driver.watch(claim, () => {}).catch(() => {});
if (outcome.acquired) await watching;
await driver.close();
const closedAt = performance.now();
process.on("exit", () => console.log(`lingered ${Math.round(performance.now() - closedAt)} ms`));
