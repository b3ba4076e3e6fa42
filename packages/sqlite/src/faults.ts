/** What SQLite's errors mean for a claim: busy (try again), or a DriverError that names what happened and the remedy. */
import { type DriverError, driverError, isDriverError } from "@dlock/core";

/** Someone else has the file, or the user's connection, for a moment: certainly not applied, and worth another attempt. */
export class Busy extends Error {
  constructor(why: string, cause?: unknown) {
    super(why, { cause });
    this.name = "Busy";
  }
}

/** The database file of this connection is no longer the one at its path: every lease in it is lost to the world. */
export class FileGone extends Error {
  constructor(path: string, what: "deleted" | "replaced") {
    super(
      `the database file ${path} was ${what} while in use and the locks in it are lost: let every process that uses it stop its locked work, then restart it`,
    );
    this.name = "FileGone";
  }

  toDriverError(): DriverError {
    return driverError(this.message, { applied: "no", retryable: false, cause: this });
  }
}

/** @param applied what is true of the claims when this error is neither {@link Busy} nor known already. */
export function translate(error: unknown, path: string, applied: "no" | "unknown"): Error {
  if (error instanceof Busy || error instanceof FileGone || isDriverError(error)) return error;
  const code = (error as { code?: unknown }).code;
  // "SQLITE_IOERR_WRITE" is of the kind "IOERR"; a code without a prefix comes from `stat`.
  const kind = typeof code === "string" ? (code.split("_")[1] ?? code) : undefined;
  const message = error instanceof Error ? error.message : String(error);
  const fault = (what: string, retryable: boolean) => driverError(`${what} (${message})`, { applied, retryable, cause: error });
  switch (kind) {
    case "BUSY":
    case "LOCKED":
    case "PROTOCOL":
      return new Busy(`another connection keeps ${path} locked`, error);
    case "READONLY":
      return fault(`${path} is read-only: this process must be able to write the file and its folder`, false);
    case "FULL":
      return fault(`there is no space left for ${path}: free some on its disk`, true);
    case "NOTADB":
      return fault(`${path} is not a SQLite database, or an encrypted one: choose another path`, false);
    case "CORRUPT":
      return fault(`${path} is damaged: stop every process that uses it, then delete or restore it`, false);
    case "CANTOPEN":
    case "PERM":
    case "AUTH":
    case "EACCES":
      return fault(`${path} cannot be opened: its folder must exist and this process must be able to write both`, false);
    case "IOERR":
      return fault(`the disk of ${path} failed`, true);
    default:
      break;
  }
  if (error instanceof TypeError) {
    // better-sqlite3 reports these two without a code.
    if (message.includes("directory does not exist")) return fault(`${path} cannot be opened: create its folder first`, false);
    if (message.includes("busy executing a query")) return new Busy(`the connection to ${path} is in the middle of a query`, error);
  }
  return fault(`SQLite refused ${path}`, false);
}
