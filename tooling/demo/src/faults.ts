/** The two accidents of every run: one worker dies while it works, one sleeps through its TTL between its decision to write and the write. */
import type { Checkpoint } from "./messages.js";

export type Accident = "kill" | "stop";

/** Chooses the victims: whoever comes to the place first, once enough is posted for all workers to be in the middle of it. */
export class Accidents {
  readonly #killAfter: number;
  readonly #stopAfter: number;
  #killed = false;
  #stopped = false;

  constructor(executions: number) {
    this.#killAfter = Math.floor(executions / 10);
    this.#stopAfter = Math.floor(executions / 5);
  }

  /** What happens to a worker at this checkpoint, if anything. */
  at(checkpoint: Checkpoint, posted: number): Accident | undefined {
    if (!this.#killed && checkpoint === "working" && posted >= this.#killAfter) {
      this.#killed = true;
      return "kill";
    }
    // After the kill, so that there is always someone awake to take over.
    if (this.#killed && !this.#stopped && checkpoint === "writing" && posted >= this.#stopAfter) {
      this.#stopped = true;
      return "stop";
    }
    return undefined;
  }
}
