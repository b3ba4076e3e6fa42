/** Prints `executions.jsonl`: the same 300 executions each time. */
import { fileURLToPath } from "node:url";
import type { Execution } from "./executions.js";

const templates = ["invoice", "payout", "refund", "subscription"];

export function generateExecutions(count: number): Execution[] {
  // Park and Miller's generator: small, and the same everywhere.
  let state = 20_240_229;
  const random = (below: number) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
  return Array.from({ length: count }, (_, index) => ({
    id: `exec-${String(index + 1).padStart(4, "0")}`,
    template: templates[random(templates.length)] as string,
    workMs: 5 + random(21),
    amount: 100 + random(50_000),
  }));
}

export function toJsonLines(executions: readonly Execution[]): string {
  return executions.map((execution) => `${JSON.stringify(execution)}\n`).join("");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.stdout.write(toJsonLines(generateExecutions(300)));
