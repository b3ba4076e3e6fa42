/** Drivers that break R1 and R2: they wait, or answer with an error what is a verdict. */
import { driverError } from "../../../src/index.ts";
import { acquiring, ask, type Broken, extending, Fault, free, prolong, releasing } from "../faults.ts";

const fault = () => driverError("a fault", { applied: "no", retryable: true });

export const attempt: readonly Broken[] = [
  {
    name: "waits until a held key is free",
    rule: "R1",
    breaks: acquiring(async (claim, honest, { clock }) => {
      for (;;) {
        const result = await ask(honest, claim);
        if (result.acquired) return result;
        await new Promise<void>((resolve) => clock.setTimer(resolve, 100, true));
      }
    }),
  },
  {
    name: "throws when a key is held",
    rule: "R2",
    breaks: acquiring(async (claim, honest) => {
      const result = await ask(honest, claim);
      if (!result.acquired) throw new Fault("held");
      return result;
    }),
  },
  {
    name: "answers with an error when a key is held",
    rule: "R2",
    breaks: acquiring(async (claim, honest) => {
      const result = await ask(honest, claim);
      return result.acquired ? result : fault();
    }),
  },
  {
    name: "answers with an error when there is nothing to extend",
    rule: "R2",
    breaks: extending(async (claim, honest) => (await prolong(honest, claim)) || fault()),
  },
  {
    name: "throws when there is nothing to release",
    rule: "R2",
    breaks: releasing(async (claim, honest) => {
      if (await free(honest, claim)) return true;
      throw new Fault("nothing to release");
    }),
  },
];
