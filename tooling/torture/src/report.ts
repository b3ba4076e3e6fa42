/** What the torture run prints. */
import { type Judgement, passes } from "./check/judge.js";
import type { Event } from "./history.js";
import { legend, timeline } from "./timeline.js";

export interface Facts {
  readonly backend: string;
  readonly seed: number;
  readonly wallMs: number;
  readonly history: string;
  readonly fenced: boolean;
  readonly complaints: readonly string[];
}

const shown = 10;

/** The lines to print, the verdict last, and whether it is PASS. */
export function report(facts: Facts, judgement: Judgement, events: readonly Event[]): { lines: string[]; pass: boolean } {
  const { overlaps, toldLate, tokens, ghosts } = judgement;
  const table: [string, string | number][] = [
    ["backend", facts.backend],
    ["seed", facts.seed],
    ["wall time", `${(facts.wallMs / 1_000).toFixed(1)} s`],
    ["acquisitions", judgement.acquisitions],
    ["faults", judgement.faults],
    [facts.fenced ? "overlaps, with the fence" : "overlaps, without the fence", overlaps.length],
    ["told late", toldLate.length],
    ["tokens out of order", tokens.length],
    ["ghosts", ghosts.length],
    ["reads and writes under the lock", `${judgement.accepted}, and ${judgement.refused} late ones refused by the fence`],
    ["time to recover", `p50 ${show(judgement.recoveryP50Ms)}, p99 ${show(judgement.recoveryP99Ms)}, of ${judgement.recoveries}`],
    ["history", facts.history],
  ];
  const width = Math.max(...table.map(([name]) => name.length));
  const faults = [...overlaps, ...toldLate, ...tokens, ...ghosts, ...facts.complaints];
  const pass = passes(judgement) && facts.complaints.length === 0;
  return {
    pass,
    lines: [
      ...timeline(events),
      legend,
      "",
      ...table.map(([name, value]) => `${name.padEnd(width)}  ${value}`),
      "",
      ...faults.slice(0, shown).map((fault) => `FAULT  ${fault}`),
      ...(faults.length > shown ? [`... and ${faults.length - shown} more`] : []),
      pass ? "PASS" : "FAIL",
    ],
  };
}

function show(ms: number): string {
  return Number.isNaN(ms) ? "–" : `${ms.toFixed(0)} ms`;
}
