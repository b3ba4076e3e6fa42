/** The signals people and service managers send to `dlock run`: kept from ending it, so that it can pass them on. */
import { constants } from "node:os";
import { isatty } from "node:tty";

const passedOn = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"] as const satisfies readonly NodeJS.Signals[];

/** Those that ask for an end; the others mean something to the command only. */
const endings: readonly NodeJS.Signals[] = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"];

/** The terminal sends these to the command as well: to pass them on would make one Ctrl-C two, and two mean "now" to many programs. */
const sentByTerminal: readonly NodeJS.Signals[] = ["SIGINT", "SIGQUIT"];

export class Signals {
  /** Aborts at the first signal that asks for an end, with that signal as the reason. */
  readonly ending: AbortSignal;
  readonly #controller = new AbortController();
  #receiver: ((signal: NodeJS.Signals) => void) | undefined;

  constructor() {
    this.ending = this.#controller.signal;
    for (const signal of passedOn) process.on(signal, this.#onSignal);
  }

  /** From now on `receiver` gets what arrives. */
  passTo(receiver: (signal: NodeJS.Signals) => void): void {
    this.#receiver = receiver;
  }

  readonly #onSignal = (signal: NodeJS.Signals): void => {
    if (endings.includes(signal)) this.#controller.abort(signal);
    // Not process.stdin: to open it would make the command's own standard input non-blocking.
    if (sentByTerminal.includes(signal) && isatty(0)) return;
    this.#receiver?.(signal);
  };
}

/** As shells put it: 128 + the signal's number. */
export function exitCodeOfSignal(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal];
}
