// A program under test: says that it runs, repeats what it is told, and ends on "exit".
import { createInterface } from "node:readline";

console.log("ready");
for await (const line of createInterface({ input: process.stdin })) {
  if (line === "exit") process.exit(3);
  console.log(`heard ${line}`);
}
