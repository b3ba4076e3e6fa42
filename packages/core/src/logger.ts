/** The shape of a logger: pino's, so that pino itself fits, and so does a few lines around anything else. */
import { messageOf } from "./errors.js";

/** The fields of a line, named as people search for them (`component`, `lock_key`, `owner`, `token`, …); tokens are decimal strings. */
export type LogFields = Record<string, unknown>;

export interface Logger {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
}

/** The fields every line about a lock carries. */
export function fieldsOf(key: string, owner: string, token?: bigint): LogFields {
  return { component: "dlock", lock_key: key, owner, ...(token === undefined ? {} : { token: String(token) }) };
}

/** A logger that throws, as one does that cannot print a bigint, breaks no lock: its error becomes a warning of the process. */
export function guarded(logger: Logger): Logger {
  const guard = (level: keyof Logger) => (fields: LogFields, message: string) => {
    try {
      logger[level](fields, message);
    } catch (error) {
      process.emitWarning(error instanceof Error ? error : messageOf(error));
    }
  };
  return { debug: guard("debug"), info: guard("info"), warn: guard("warn"), error: guard("error") };
}
