/** What the exit codes of `dlock` mean, and which one an error deserves. The numbers are those of sysexits.h and of the shells. */
import { InvalidLockKeyError, LockNotAcquiredError, LockNotHeldError, LockTimeoutError } from "@dlock/core";
import { CommanderError } from "commander";

/** `dlock run` ends with the command's own exit code, or with 128 + n when signal n ended it; else every command ends with one of these. */
export const exitCodes = {
  ok: 0,
  /** `dlock unlock --owner`: that owner does not hold the key. */
  notHeld: 1,
  /** Wrong arguments (EX_USAGE). */
  usage: 64,
  /** `dlock torture`: a promise was broken (EX_SOFTWARE). */
  broken: 70,
  /** The backend is away, refuses, or is not installed (EX_UNAVAILABLE). */
  unavailable: 69,
  /** The lock is held by another; try again later (EX_TEMPFAIL). */
  held: 75,
  /** `dlock run`: the lock was lost while the command ran, although the command itself ended with 0 (EX_PROTOCOL). */
  lost: 76,
  /** `dlock run`: the command was found and could not be started. */
  notExecutable: 126,
  /** `dlock run`: the command was not found. */
  notFound: 127,
} as const;

/** Wrong input in whatever shape commander and core report it; whatever else goes wrong here is the backend's doing. */
export function exitCodeOf(error: unknown): number {
  // Help and version end the program by an error too, with code 0.
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
  if (error instanceof InvalidLockKeyError || error instanceof TypeError || error instanceof RangeError) return exitCodes.usage;
  if (error instanceof LockTimeoutError || error instanceof LockNotAcquiredError) return exitCodes.held;
  if (error instanceof LockNotHeldError) return exitCodes.notHeld;
  return exitCodes.unavailable;
}
