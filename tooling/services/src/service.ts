/** One server process: started, watched until it answers, stopped by its id, and never left behind. */
import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { installHint, onPath } from "./install.js";
import { loopback } from "./ports.js";
import { endWithThisProcess, removeWithThisProcess } from "./reaper.js";

/** A running server that a test may mistreat. */
export interface Service {
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /** The process id; another one after `restart`. */
  readonly pid: number;
  /** Where the server keeps its data and its log. */
  readonly folder: string;
  /** Ends the server at once and removes its data. */
  stop(): Promise<void>;
  /** SIGKILL; the data stay. `restart` brings it back. */
  kill(): Promise<void>;
  /** SIGSTOP: connections stay open and nothing is answered. */
  pause(): void;
  /** SIGCONT. */
  resume(): void;
  /** Ends the server in good order if it runs, and starts it again with the same port and data. */
  restart(): Promise<void>;
}

export interface ServiceSpec {
  /** For messages, and the name in the table of `install.ts`; or a path. */
  readonly program: string;
  readonly url: string;
  readonly port: number;
  readonly folder: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Whether the server answers; asked every few milliseconds until it says yes. A rejection means "not yet". */
  ready(): Promise<boolean>;
}

const readyWithinMs = 60_000;
const quietWithinMs = 15_000;

/** A folder of our own under the system's temporary one; removed when this process ends, however it ends. */
export async function temporaryFolder(name: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), `dlock-${name}-`));
  removeWithThisProcess(folder);
  return folder;
}

export async function startService(spec: ServiceSpec): Promise<Service> {
  const command = onPath(spec.program);
  if (command === undefined) throw new Error(installHint(spec.program));
  let running = await launch(command, spec);
  return {
    url: spec.url,
    host: loopback,
    port: spec.port,
    folder: spec.folder,
    get pid() {
      return running.child.pid as number;
    },
    async stop() {
      await end(running, "SIGKILL");
      await rm(spec.folder, { recursive: true, force: true });
    },
    kill: () => end(running, "SIGKILL"),
    pause() {
      running.child.kill("SIGSTOP");
    },
    resume() {
      running.child.kill("SIGCONT");
    },
    async restart() {
      await end(running, "SIGTERM");
      running = await launch(command, spec);
    },
  };
}

interface Running {
  readonly child: ChildProcess;
  /** Resolves when it and all that it has forked have ended. */
  readonly gone: Promise<void>;
}

async function launch(command: string, spec: ServiceSpec): Promise<Running> {
  const logFile = join(spec.folder, `${basename(spec.program)}.log`);
  const child = spawn(command, spec.args, {
    cwd: spec.folder,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...spec.env },
    // A process group of its own, which whatever it forks belongs to.
    detached: true,
  });
  if (child.pid === undefined) {
    const [error] = await new Promise<[Error]>((resolve) => child.once("error", (cause) => resolve([cause])));
    throw new Error(`${spec.program} could not be started: ${error.message}`);
  }
  const { pid } = child;
  // What it has forked, to write a snapshot for instance, would write on.
  child.once("exit", () => killGroup(pid));
  const forget = endWithThisProcess(-pid);
  // Comes when the last process that has its outputs is gone, and what it has forked has them too.
  const gone = new Promise<void>((resolve) => {
    child.once("close", () => {
      forget();
      resolve();
    });
  });
  const running = { child, gone };
  const log = createWriteStream(logFile, { flags: "a" });
  // The folder may be removed while the last lines arrive; a log nobody can read any more is not worth an error.
  log.on("error", () => {});
  child.stdout?.pipe(log, { end: false });
  child.stderr?.pipe(log, { end: false });
  child.once("close", () => log.end());
  // Tests end when their work is done, not when their servers do: the reaper sees to these.
  child.unref();
  for (const stream of outputs(child)) stream.unref();
  for (let waitedMs = 0; ; waitedMs += 20) {
    if (child.exitCode !== null || child.signalCode !== null || waitedMs > readyWithinMs) {
      const why = waitedMs > readyWithinMs ? `did not answer within ${readyWithinMs} ms` : "ended before it answered";
      const said = await readFile(logFile, "utf8").catch(() => "");
      await end(running, "SIGKILL");
      throw new Error(`${spec.program} on port ${spec.port} ${why}; it said:\n${said.slice(-4_000)}`);
    }
    if (await spec.ready().catch(() => false)) return running;
    await sleep(20);
  }
}

/** Resolves when none of its processes is left. */
async function end({ child, gone }: Running, signal: "SIGKILL" | "SIGTERM"): Promise<void> {
  child.ref();
  for (const stream of outputs(child)) stream.ref();
  child.kill(signal);
  // A stopped process does not handle SIGTERM until it runs again.
  child.kill("SIGCONT");
  const impatience = setTimeout(() => child.kill("SIGKILL"), quietWithinMs);
  await gone;
  clearTimeout(impatience);
}

function killGroup(leader: number): void {
  try {
    process.kill(-leader, "SIGKILL");
  } catch (error) {
    // Nobody is left in it.
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** The pipes it writes to, as what they are at run time. */
function outputs(child: ChildProcess): Socket[] {
  return [child.stdout, child.stderr] as unknown as Socket[];
}
