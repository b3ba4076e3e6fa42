/** The signal file beside the database: touched after a release, watched by who waits. One watcher for a file in a process. */
import { closeSync, existsSync, type FSWatcher, openSync, utimesSync, watch } from "node:fs";
import { systemClock } from "@dlock/core";

interface Shared {
  readonly listeners: Set<() => void>;
  watcher: FSWatcher | undefined;
}

const watched = new Map<string, Shared>();

/**
 * Calls `listener` after each signal. A signal may be missed where the file cannot be made or watched (a folder without write permission,
 * no more inotify watches): whoever listens must look for himself from time to time too, and call `repair` then.
 */
export function onSignal(file: string, listener: () => void): { stop(): void; repair(): void } {
  let shared = watched.get(file);
  if (shared === undefined) {
    shared = { listeners: new Set(), watcher: undefined };
    watched.set(file, shared);
  }
  const { listeners } = shared;
  const start = shared;
  listeners.add(listener);
  startWatcher(file, start);
  return {
    stop() {
      if (!listeners.delete(listener) || listeners.size > 0) return;
      stopWatcher(start);
      watched.delete(file);
    },
    repair: () => startWatcher(file, start),
  };
}

/** Wakes those who listen, in this process and in others. Nobody has ever listened when the file is absent. */
export function signal(file: string): void {
  if (!existsSync(file)) return;
  try {
    const now = systemClock.date();
    utimesSync(file, now, now);
  } catch {
    // Deliberate: deleted meanwhile, or made by another user. Waiters then learn of the release by their poll.
  }
}

function startWatcher(file: string, shared: Shared): void {
  if (shared.watcher !== undefined) return;
  try {
    closeSync(openSync(file, "a"));
    // Not persistent: a watch alone must not keep the process alive.
    const watcher = watch(file, { persistent: false }, (event) => {
      // "rename": the file was deleted or replaced, so this watcher is deaf from now on.
      if (event === "rename") stopWatcher(shared);
      for (const listener of [...shared.listeners]) listener();
    });
    watcher.on("error", () => stopWatcher(shared));
    shared.watcher = watcher;
  } catch {
    // Deliberate: the poll remains.
  }
}

function stopWatcher(shared: Shared): void {
  shared.watcher?.close();
  shared.watcher = undefined;
}
