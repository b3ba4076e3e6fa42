/**
 * Cleans up after a test process that died: one small shell for each process reads what it started from a pipe, and when that pipe closes,
 * for whatever reason (a crash and SIGKILL included), it kills those processes and removes those folders.
 */
import { type ChildProcess, spawn } from "node:child_process";

// "+ id" and "- id" add and remove a process, "f path" adds a folder. Paths are ours (mkdtemp), so they hold no blanks.
const script = `
pids=" "; folders=""
while read -r verb what; do
  case $verb in
    +) pids="$pids$what " ;;
    -) pids="\${pids%%" $what "*} \${pids#*" $what "}" ;;
    f) folders="$folders $what" ;;
  esac
done
for pid in $pids; do kill -9 "$pid" 2>/dev/null; done
# One that still dies may still write.
tries=0
until rm -rf $folders || [ $((tries += 1)) -gt 50 ]; do sleep 0.2; done
`;

let reaper: ChildProcess | undefined;

function tell(line: string): void {
  if (reaper === undefined) {
    // Its own session: the Ctrl-C that ends the tests must not end it first.
    reaper = spawn("/bin/sh", ["-c", script], { stdio: ["pipe", "ignore", "ignore"], detached: true });
    reaper.unref();
    // When the reaper is gone there is nobody to tell, and the servers are still stopped by the tests themselves.
    reaper.stdin?.on("error", () => {});
    (reaper.stdin as unknown as { unref?(): void } | null)?.unref?.();
  }
  reaper.stdin?.write(`${line}\n`);
}

/**
 * The process with this id (a negative one means a group) is killed when the present one ends, however it ends. Returns what to call when it has ended by itself: its id
 * may soon belong to somebody else.
 */
export function endWithThisProcess(pid: number): () => void {
  tell(`+ ${pid}`);
  return () => tell(`- ${pid}`);
}

/** The folder is removed when this process ends, however it ends. */
export function removeWithThisProcess(path: string): void {
  tell(`f ${path}`);
}
