/** The verdict, from the ledger and the histories alone. */
import type { Execution } from "./executions.js";
import type { Histories } from "./history.js";
import { type Hold, holdsOf, overlapsOf } from "./holds.js";
import type { Posting } from "./ledger.js";

export interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
}

export interface Judgement {
  readonly checks: readonly Check[];
  readonly locks: number;
  /** Locks that were taken over from a worker which never let go of them in time. */
  readonly takeovers: number;
  readonly refused: number;
  /** The executions that were posted more than once. */
  readonly twice: readonly string[];
}

export function judge(executions: readonly Execution[], postings: readonly Posting[], histories: Histories): Judgement {
  const holds = [...holdsOf(histories).values()];
  const takeovers = holds.reduce((sum, ofKey) => sum + takeoversOf(ofKey), 0);
  const overlaps = holds.flatMap(overlapsOf);
  // A late write may have several successors, and is one write all the same.
  const stale = new Set(overlaps.flatMap(({ staleWrites }) => staleWrites));
  const refused = [...stale].filter(({ accepted }) => !accepted).length;
  const believed = overlaps.filter((overlap) => overlap.believed).length;
  const uncovered = overlaps.filter(({ staleWrites }) => staleWrites.some(({ accepted }) => accepted)).length;
  const backwards = holds.filter((ofKey) =>
    ofKey.some((hold, index) => index > 0 && hold.token <= (ofKey[index - 1] as Hold).token),
  ).length;
  const events = [...histories.values()].flat();
  const seen = (event: string) => events.filter((one) => one.event === event).length;
  const accidents = { killed: seen("killed"), stopped: seen("stopped"), continued: seen("continued") };
  const { check, twice } = exactlyOnce(executions, postings);
  return {
    locks: holds.reduce((sum, ofKey) => sum + ofKey.length, 0),
    takeovers,
    refused,
    twice,
    checks: [
      check,
      {
        name: "a worker was killed, another stopped and continued, and their work was taken over",
        ok: Object.values(accidents).every((count) => count === 1) && takeovers >= 2,
        detail: `${accidents.killed} killed, ${accidents.stopped} stopped, ${accidents.continued} continued, ${takeovers} takeovers`,
      },
      {
        name: "stale writes were attempted, and the ledger refused them all",
        ok: stale.size > 0 && refused === stale.size,
        detail: `${stale.size} attempted, ${refused} refused`,
      },
      {
        name: "tokens grew for every execution",
        ok: backwards === 0,
        detail: `${holds.length} executions, ${backwards} with a token out of order`,
      },
      { name: "no two workers believed to hold a lock at one time", ok: believed === 0, detail: `${believed} overlaps of belief` },
      {
        name: "where a worker acted on a past belief, the fence covered it",
        ok: uncovered === 0,
        detail: `${overlaps.length} overlaps, ${uncovered} uncovered`,
      },
    ],
  };
}

function exactlyOnce(executions: readonly Execution[], postings: readonly Posting[]): { check: Check; twice: string[] } {
  const counts = new Map<string, number>();
  const amounts = new Map(executions.map(({ id, amount }) => [id, amount]));
  let wrong = 0;
  for (const { id, amount } of postings) {
    counts.set(id, (counts.get(id) ?? 0) + 1);
    if (amounts.get(id) !== amount) wrong++;
  }
  const missing = executions.filter(({ id }) => !counts.has(id)).length;
  const twice = [...counts].filter(([, count]) => count > 1).map(([id]) => id);
  return {
    twice,
    check: {
      name: "every execution was posted exactly once",
      ok: missing === 0 && twice.length === 0 && wrong === 0,
      detail: `${postings.length} postings of ${executions.length} executions, ${missing} missing, ${twice.length} posted twice, ${wrong} wrong`,
    },
  };
}

function takeoversOf(holds: readonly Hold[]): number {
  return holds.filter((hold, index) => index > 0 && (holds[index - 1] as Hold).releasedAt > hold.from).length;
}
