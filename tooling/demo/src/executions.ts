/** The job's input: workflow executions, one JSON object on each line. */
import { readFileSync } from "node:fs";

export interface Execution {
  readonly id: string;
  readonly template: string;
  /** How long its work takes. */
  readonly workMs: number;
  /** What it posts to the ledger, in cents. */
  readonly amount: number;
}

/** @throws Error that names the line, when one is no execution or its id came before: ids are what the ledger is checked by. */
export function readExecutions(file: string): Execution[] {
  const ids = new Set<string>();
  const executions: Execution[] = [];
  for (const [index, line] of readFileSync(file, "utf8").split("\n").entries()) {
    if (line.trim() === "") continue;
    const execution = parse(line, `${file}:${index + 1}`);
    if (ids.has(execution.id)) throw new Error(`${file}:${index + 1}: the id ${execution.id} is there twice`);
    ids.add(execution.id);
    executions.push(execution);
  }
  if (executions.length === 0) throw new Error(`${file} holds no executions`);
  return executions;
}

function parse(line: string, where: string): Execution {
  let value: Partial<Execution> | null;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw new Error(`${where}: ${(error as Error).message}`);
  }
  const { id, template, workMs, amount } = value ?? {};
  // The id becomes a lock key of at most 255 bytes, behind a prefix.
  const fits = typeof id === "string" && id !== "" && Buffer.byteLength(id) <= 200 && typeof template === "string";
  if (!fits || !(Number(workMs) >= 0) || !Number.isSafeInteger(amount)) {
    throw new Error(`${where}: an execution is {"id": string, "template": string, "workMs": number, "amount": whole number}`);
  }
  return { id, template, workMs: Number(workMs), amount: amount as number };
}
