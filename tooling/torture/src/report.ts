/** What the torture run prints. */
import type { Verdict } from "./run.js";
import { legend, timeline } from "./timeline.js";

const shown = 10;

/** The lines to print, the verdict last. */
export function report({ pass, judgement, events, complaints, ...facts }: Verdict): string[] {
  const { overlaps, toldLate, toldLateByClock, tokens, ghosts, recovery } = judgement;
  const table: (readonly [string, string | number])[] = [
    ["backend", facts.backend],
    ["seed", facts.seed],
    ["wall time", `${(facts.wallMs / 1_000).toFixed(1)} s`],
    ["acquisitions", judgement.acquisitions],
    ["faults", judgement.faults],
    [facts.fenced ? "overlaps, with the fence" : "overlaps, without the fence", overlaps.length],
    ["told late", toldLate.length],
    ...(toldLateByClock.length === 0 ? [] : [["told late, as the server's clock went forward", toldLateByClock.length] as const]),
    ["tokens out of order", tokens.length],
    ["ghosts", ghosts.length],
    ["reads and writes under the lock", `${judgement.accepted}, and ${judgement.refused} late ones refused by the fence`],
    ...recovery.map(
      ({ kind, count, p50Ms, p99Ms }) => [`time to recover, ${kind}`, `p50 ${ms(p50Ms)}, p99 ${ms(p99Ms)}, of ${count}`] as const,
    ),
    ["history", facts.history],
  ];
  const width = Math.max(...table.map(([name]) => name.length));
  const faults = [...overlaps, ...toldLate, ...tokens, ...ghosts, ...complaints];
  return [
    ...timeline(events),
    legend,
    "",
    ...table.map(([name, value]) => `${name.padEnd(width)}  ${value}`),
    "",
    ...faults.slice(0, shown).map((fault) => `FAULT  ${fault}`),
    ...(faults.length > shown ? [`... and ${faults.length - shown} more`] : []),
    pass ? "PASS" : "FAIL",
  ];
}

function ms(value: number): string {
  return `${value.toFixed(0)} ms`;
}
