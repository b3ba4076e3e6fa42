/** A clock for one server or process that a test can step, while all others keep the right time. */
import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fakeTimeLibrary, installHint } from "./install.js";
import { temporaryFolder } from "./service.js";

export interface SteppableClock {
  /** For the start of whoever goes by it. */
  readonly env: Readonly<Record<string, string>>;
  /** How far off the right time it is. */
  readonly offsetSeconds: number;
  /** Sets the wall clock so many seconds off the right time, from the next look at it on. The monotonic clock goes on as before. */
  step(offsetSeconds: number): void;
}

/** @throws Error when libfaketime is not installed. A server that asks the kernel past libc, as programs in Go do, would keep the right time. */
export async function steppableClock(): Promise<SteppableClock> {
  const library = fakeTimeLibrary();
  if (library === undefined) throw new Error(installHint("libfaketime"));
  const file = join(await temporaryFolder("clock"), "offset");
  let offsetSeconds = 0;
  const step = (seconds: number) => {
    offsetSeconds = seconds;
    // Whole or not at all: it may be read at any moment. And in one go: of two steps under way, one would take the other's file.
    writeFileSync(`${file}.new`, `${seconds < 0 ? "" : "+"}${seconds}`);
    renameSync(`${file}.new`, file);
  };
  step(0);
  return {
    env: {
      // An allocator that asks for the time as it starts, as jemalloc does, meets a libfaketime that needs memory to start: neither ever does.
      // With libc before the allocator in the order of libraries, memory comes from libc.
      LD_PRELOAD: `${library} libc.so.6`,
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: "1",
      // Two names of the same switch, of different versions.
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
      DONT_FAKE_MONOTONIC: "1",
    },
    get offsetSeconds() {
      return offsetSeconds;
    },
    step,
  };
}
