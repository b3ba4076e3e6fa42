/** How holders, times and names are shown: as text for people, as JSON for programs. */
import { writeSync } from "node:fs";
import { type Holder, systemClock } from "@dlock/core";

/** A holder as JSON: tokens are decimal strings, because they outgrow the numbers of JSON's readers. */
export function holderToJson({ owner, token, mode, heldMs, remainingMs, metadata }: Holder): object {
  return { owner, token: String(token), mode, heldMs, remainingMs, ...(metadata === undefined ? {} : { metadata }) };
}

export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, undefined, 2)}\n`);
}

export function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** What dlock itself has to say goes to stderr: stdout belongs to the command that runs. */
export function complain(line: string): void {
  try {
    // Not process.stderr: to open it would make the command's own stderr non-blocking.
    writeSync(2, `dlock: ${line}\n`);
  } catch {
    // Closed, or full and never read: nobody listens, and that must not end the guard of a command that runs.
  }
}

/** Names come from other processes: quoted where they could be misread, or could steer a terminal. */
export function name(text: string): string {
  return /^[\x21\x23-\x7e]+$/.test(text) ? text : quoted(text);
}

/** Metadata is prose: blanks are welcome in it. */
export function note(text: string): string {
  return /^[\x20-\x7e]*$/.test(text) ? text : quoted(text);
}

function quoted(text: string): string {
  // JSON leaves DEL and the C1 controls as they are.
  return JSON.stringify(text).replace(/[\x7f-\x9f]/g, (control) => `\\u00${control.charCodeAt(0).toString(16)}`);
}

/** By whom, since when and for how long. */
export function describeHolder({ owner, metadata, heldMs, remainingMs }: Holder): string {
  const since = systemClock.date();
  since.setTime(since.getTime() - heldMs);
  const by = metadata === undefined ? name(owner) : `${name(owner)} (${note(metadata)})`;
  return `${by} since ${since.toISOString()}, for ${span(heldMs)}; it ends in ${span(remainingMs)} unless renewed`;
}

/** A length of time in the two units that matter. */
export function span(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`;
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 60) return `${minutes} min ${Math.floor((ms % 60_000) / 1_000)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Columns as wide as their widest cell. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}
