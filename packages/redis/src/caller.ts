/** Calls scripts, after making sure that everyone who uses them here means the same by a key. */
import type { DriverError } from "@dlock/core";
import { refusedBy } from "./errors.js";
import { agreement, agreementSlot, type Names } from "./protocol.js";
import { inspectScript, type Script } from "./scripts.js";
import type { Wire } from "./wire.js";

export class Caller {
  readonly #wire: Wire;
  readonly #names: Names;
  #agreed = false;

  constructor(wire: Wire, names: Names) {
    this.#wire = wire;
    this.#names = names;
  }

  /** Another server may answer next, or the same without its data. */
  forget(): void {
    this.#agreed = false;
  }

  /**
   * Calls a script by its hash, and with its text where the server does not know it (after a restart, a failover or SCRIPT FLUSH).
   *
   * @param args their first place is for the script: a copy of a batch's arguments would cost as much as writing them.
   */
  run(script: Script, slot: number, args: string[], endsAt: number): Promise<unknown> {
    if (!this.#agreed) return this.#runFirst(script, slot, args, endsAt);
    args[0] = script.sha;
    return this.#wire.send(slot, "evalsha", args, endsAt).catch((error: DriverError) => {
      if (!error.message.includes("NOSCRIPT")) throw error;
      return this.#runText(script, slot, args, endsAt);
    });
  }

  #runText(script: Script, slot: number, args: readonly string[], endsAt: number): Promise<unknown> {
    return this.#wire.send(slot, "eval", [script.source, ...args.slice(1)], endsAt);
  }

  async #runFirst(script: Script, slot: number, args: string[], endsAt: number): Promise<unknown> {
    // What only reads must not write the agreement down either.
    const agreed = await this.agree(endsAt, script !== inspectScript);
    return agreed ? this.run(script, slot, args, endsAt) : this.#runText(script, slot, args, endsAt);
  }

  /** Two clients that spread keys differently would lock two different records: the first to come writes down how. */
  async agree(endsAt: number, write: boolean): Promise<boolean> {
    const name = this.#names.agreement;
    const read = () => this.#wire.send(agreementSlot, "get", [name], endsAt);
    let found = await read();
    if (found === null && !write) return false;
    if (found === null) {
      // A server that is out of memory cannot keep it, and grants nothing either; what is held must still be renewed and released.
      await this.#wire.send(agreementSlot, "set", [name, agreement, "NX"], endsAt).catch((error: DriverError) => {
        if (!error.message.includes("OOM")) throw error;
      });
      found = (await read()) ?? agreement;
    }
    if (found !== agreement) {
      throw refusedBy(`another dlock lives under this prefix: ${String(found)}, this one is ${agreement}`);
    }
    this.#agreed = true;
    return true;
  }
}
