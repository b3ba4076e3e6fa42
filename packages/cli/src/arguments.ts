/** How values on the command line are read, and the options that several commands share. */
import { parseDuration } from "@dlock/core";
import { InvalidArgumentError, Option } from "commander";

/** Where the locks are: `--url`, else the environment, else a file in the working directory. */
export function urlOption(): Option {
  return new Option("--url <url>", "where the locks are").env("DLOCK_URL").default("sqlite:./dlock.db");
}

export function jsonOption(): Option {
  return new Option("--json", "print JSON; tokens are decimal strings");
}

/** @throws InvalidArgumentError, which commander reports together with the name of the option. */
export function duration(value: string): number {
  try {
    return parseDuration("it", value);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

/** @throws InvalidArgumentError, which commander reports together with the name of the option. */
export function wholeNumber(value: string): number {
  if (!/^\d+$/.test(value)) throw new InvalidArgumentError("it must be a whole number");
  return Number(value);
}
