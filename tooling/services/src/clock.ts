/** A clock for one server that a test can step, while all other processes keep the right time. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fakeTimeLibrary, installHint } from "./install.js";
import { temporaryFolder } from "./service.js";

export interface SteppableClock {
  /** For the server's start. */
  readonly env: Readonly<Record<string, string>>;
  /** Sets the server's wall clock so many seconds off the right time, from its next look at it on. Its monotonic clock goes on as before. */
  step(offsetSeconds: number): Promise<void>;
}

/** @throws Error when libfaketime is not installed. A server that asks the kernel past libc, as programs in Go do, would keep the right time. */
export async function steppableClock(): Promise<SteppableClock> {
  const library = fakeTimeLibrary();
  if (library === undefined) throw new Error(installHint("libfaketime"));
  const file = join(await temporaryFolder("clock"), "offset");
  const step = (offsetSeconds: number) => writeFile(file, `${offsetSeconds < 0 ? "" : "+"}${offsetSeconds}`);
  await step(0);
  return {
    env: {
      // An allocator that asks for the time as it starts, as jemalloc does, meets a libfaketime that needs memory to start: neither ever does.
      // With libc before the allocator in the order of libraries, memory comes from libc.
      LD_PRELOAD: `${library} libc.so.6`,
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: "1",
      DONT_FAKE_MONOTONIC: "1",
    },
    step,
  };
}
