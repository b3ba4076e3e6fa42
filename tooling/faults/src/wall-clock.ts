/** The wall clock of other programs: libfaketime shifts what they read of it, while they run, and leaves their monotonic clocks alone. */
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fakeTimeLibrary } from "@dlock-tooling/services";

export interface WallClock {
  /** The environment of every program that goes by this clock. Programs in Go ask the kernel by themselves and see no step. */
  readonly env: Readonly<Record<string, string>>;
  /** How far it is from the true time now, in ms. */
  readonly offsetMs: number;
  /** Steps it to `offsetMs` from the true time. */
  stepTo(offsetMs: number): void;
  /** Forgets the clock, when the programs have ended. */
  remove(): void;
}

/** Whether libfaketime is installed. */
export function canStepClocks(): boolean {
  return fakeTimeLibrary() !== undefined;
}

/** @throws Error when libfaketime is not installed. */
export function wallClock(): WallClock {
  const library = fakeTimeLibrary();
  if (library === undefined) throw new Error("to step clocks, install libfaketime (on Debian or Ubuntu: apt-get install libfaketime)");
  const folder = mkdtempSync(join(tmpdir(), "dlock-clock-"));
  const file = join(folder, "offset");
  let offsetMs = 0;
  const stepTo = (ms: number) => {
    offsetMs = ms;
    // Whole or not at all: it may be read at any moment.
    writeFileSync(`${file}.new`, `${ms < 0 ? "-" : "+"}${Math.abs(ms) / 1_000}`);
    renameSync(`${file}.new`, file);
  };
  stepTo(0);
  return {
    env: {
      // jemalloc asks for the time while libfaketime starts, and neither gets further: libc before it serves the memory instead.
      LD_PRELOAD: [library, ...libc()].join(":"),
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: "1",
      // Two names of the same switch, of different versions.
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
      DONT_FAKE_MONOTONIC: "1",
    },
    get offsetMs() {
      return offsetMs;
    },
    stepTo,
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** Where this process has it from; not on musl, where Redis has no jemalloc either. */
function libc(): string[] {
  const [path] = /\S+\/libc\.so\.6$/m.exec(readFileSync("/proc/self/maps", "utf8")) ?? [];
  return path === undefined ? [] : [path];
}
