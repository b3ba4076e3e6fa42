/** One run: workers on a target, faults upon them, the verdict on what they believed, and nothing of it left behind. */
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type Judgement, judge, passes } from "./check/judge.js";
import { cleanUp } from "./clean-up.js";
import { Faults } from "./faults.js";
import { type Event, History, merge, now } from "./history.js";
import type { TortureOptions } from "./options.js";
import { Random } from "./random.js";
import { Registers } from "./register.js";
import { Supervisor } from "./supervisor.js";
import type { Target } from "./target.js";

export interface RunOptions extends TortureOptions {
  /** false: the registers ignore tokens. */
  readonly fenced?: boolean;
  /** Where the history is kept; a new file in the temporary folder by default. */
  readonly history?: string;
}

export interface Verdict {
  readonly pass: boolean;
  readonly backend: string;
  readonly seed: number;
  readonly wallMs: number;
  readonly fenced: boolean;
  /** The file. */
  readonly history: string;
  readonly judgement: Judgement;
  /** What went wrong with the processes themselves. */
  readonly complaints: readonly string[];
  readonly events: readonly Event[];
}

/** How many each worker has, as if they were processes. */
export const providers = 2;

/** @param interrupted ends the run early; the verdict is about what was. */
export async function torture(target: Target, options: RunOptions, interrupted: AbortSignal): Promise<Verdict> {
  const { seed, ttlMs, tasks, faults, durationMs, fenced = true } = options;
  const folder = mkdtempSync(join(tmpdir(), "dlock-torture-"));
  const file = options.history ?? join(tmpdir(), `dlock-torture-${seed}-${randomBytes(2).toString("hex")}.jsonl`);
  const histories = join(folder, "histories");
  mkdirSync(histories);
  mkdirSync(dirname(file), { recursive: true });
  const keyPrefix = `dlock-torture-${randomBytes(4).toString("hex")}:`;
  const history = new History(histories, "supervisor");
  const supervisor = new Supervisor({ seed, keyPrefix, histories, ttlMs, providers, tasks }, target, new Registers(fenced), history);
  try {
    const from = now();
    supervisor.start();
    await new Faults(supervisor, target, history, new Random(seed), ttlMs).run(faults, durationMs, interrupted);
    await supervisor.end();
    const wallMs = now() - from;
    history.close();
    await cleanUp(target.url, keyPrefix);
    const events = merge(histories, file);
    const judgement = judge(events, ttlMs);
    const { complaints } = supervisor;
    const pass = passes(judgement) && complaints.length === 0;
    return { pass, backend: target.name, seed, wallMs, fenced, history: file, judgement, complaints, events };
  } finally {
    // Where something failed they would go on for ever, and this process with them.
    supervisor.abandon();
    rmSync(folder, { recursive: true, force: true });
  }
}
