/** The store that the locks protect: a value for each key, and the highest token that was ever shown for it. */
import { compareTokens } from "@dlock/core";

export class Registers {
  readonly #fenced: boolean;
  readonly #registers = new Map<string, { token: string; value: string | undefined }>();

  /** @param fenced false: tokens are ignored, and late writes come through. */
  constructor(fenced: boolean) {
    this.#fenced = fenced;
  }

  /** Reading shows the token too: a past holder must not write between its successor's read and write. */
  read(key: string, token: string): { accepted: boolean; value?: string } {
    const register = this.#show(key, token);
    if (register === undefined) return { accepted: false };
    return register.value === undefined ? { accepted: true } : { accepted: true, value: register.value };
  }

  write(key: string, token: string, value: string): { accepted: boolean } {
    const register = this.#show(key, token);
    if (register !== undefined) register.value = value;
    return { accepted: register !== undefined };
  }

  #show(key: string, token: string): { value: string | undefined } | undefined {
    let register = this.#registers.get(key);
    if (register === undefined) {
      register = { token, value: undefined };
      this.#registers.set(key, register);
    }
    if (this.#fenced && compareTokens(token, register.token) < 0) return undefined;
    register.token = token;
    return register;
  }
}
