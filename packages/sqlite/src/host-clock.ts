/** The clock that leases are written in: one for all processes of a boot, deaf to steps of the wall clock. */
import { readFileSync, readlinkSync } from "node:fs";

export interface HostClock {
  /** Microseconds since some moment that all processes with the same `identity` agree on; never steps back. */
  now(): bigint;
  /** Names the boot and the time namespace: times of clocks with different names cannot be compared. */
  readonly identity: string;
}

/**
 * `process.hrtime` is the machine's monotonic clock, not the process's: CLOCK_MONOTONIC on Linux, `mach_continuous_time` on macOS,
 * `QueryPerformanceCounter` on Windows (libuv, `uv_hrtime`). All of them start anew with a boot.
 */
export const hostClock: HostClock = {
  now: () => process.hrtime.bigint() / 1_000n,
  get identity() {
    identity ??= identify();
    return identity;
  },
};

/** Cannot change while a process lives. */
let identity: string | undefined;

/**
 * Linux tells boots and time namespaces apart. Elsewhere the platform's name has to do; a reboot then shows by leases that would outlast
 * their own TTL (see leases.ts), and every holder from before it is gone.
 */
function identify(): string {
  const boot = attempt(() => readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim());
  if (boot === undefined) return process.platform;
  return `${boot} ${attempt(() => readlinkSync("/proc/self/ns/time")) ?? "time:none"}`;
}

/** Undefined where the system does not have the file: an older kernel or another platform. */
function attempt(read: () => string): string | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
