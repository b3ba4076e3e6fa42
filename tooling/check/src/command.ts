/** Runs other programs, a few at a time, and keeps what they say. */
import { execFile } from "node:child_process";

export interface Said {
  readonly ok: boolean;
  readonly output: string;
}

export interface CommandOptions {
  readonly cwd: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly timeoutMs?: number;
}

/** Resolves however it ends. @param options `timeoutMs`: after so long it is killed; default one minute. */
export function command(file: string, args: readonly string[], options: CommandOptions): Promise<Said> {
  const { cwd, env = process.env, timeoutMs = 60_000 } = options;
  return new Promise((resolve) => {
    execFile(file, args, { cwd, env, timeout: timeoutMs, killSignal: "SIGKILL" }, (error, stdout, stderr) => {
      const killed = error?.killed === true ? `\nkilled after ${timeoutMs} ms` : "";
      resolve({ ok: error === null, output: `${stdout}${stderr}${killed}`.trim() || (error?.message ?? "") });
    });
  });
}

/** As many as there are cores on a small machine. */
const atOnce = 2;

/** `work` for each of `items`, a few at a time; results in the order of the items. */
export async function each<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = new Array(items.length);
  let next = 0;
  const worker = async () => {
    for (let index = next++; index < items.length; index = next++) results[index] = await work(items[index] as T);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return results;
}
