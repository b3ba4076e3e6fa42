/** What the demo prints. */
import type { Histories } from "./history.js";
import type { Judgement } from "./judge.js";
import { legend, timeline } from "./timeline.js";

export interface Facts {
  readonly backend: string;
  readonly fenced: boolean;
  readonly executions: number;
  readonly workers: number;
  readonly wallMs: number;
  readonly complaints: readonly string[];
}

/** The lines to print, the verdict last, and whether it is PASS. */
export function report(facts: Facts, judgement: Judgement, histories: Histories): { lines: string[]; pass: boolean } {
  const seconds = facts.wallMs / 1_000;
  const table: [string, string | number][] = [
    ["backend", facts.backend],
    ["ledger", facts.fenced ? "fenced by the token" : "not fenced"],
    ["executions", facts.executions],
    ["worker processes", `${facts.workers}, and 1 in place of the killed one`],
    ["locks granted", judgement.locks],
    ["takeovers", judgement.takeovers],
    ["refused stale writes", judgement.refused],
    ["wall time", `${seconds.toFixed(2)} s`],
    ["locks/s", (judgement.locks / seconds).toFixed(0)],
  ];
  const width = Math.max(...table.map(([name]) => name.length));
  const failed = judgement.checks.filter(({ ok }) => !ok);
  const pass = failed.length === 0 && facts.complaints.length === 0;
  return {
    pass,
    lines: [
      ...table.map(([name, value]) => `${name.padEnd(width)}  ${value}`),
      "",
      ...timeline(histories),
      legend,
      "",
      ...judgement.checks.map(({ name, ok, detail }) => `${ok ? "ok  " : "FAIL"}  ${name}: ${detail}`),
      ...facts.complaints.map((complaint) => `FAIL  ${complaint}`),
      "",
      pass ? "PASS" : verdict(facts, judgement),
    ],
  };
}

function verdict({ fenced }: Facts, { twice }: Judgement): string {
  if (twice.length === 0) return "FAIL";
  return `FAIL: posted twice: ${twice.join(", ")}${fenced ? "" : ", which the fence would have prevented (run without --no-fence)"}`;
}
