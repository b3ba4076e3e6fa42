/** Which programs the tests need, where they come from, and how to get them. */
import { execFileSync } from "node:child_process";
import { accessSync, constants, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";

interface Program {
  /** The Debian package that holds it. */
  readonly debian: string;
  /** The environment variable that names a server to use instead. */
  readonly variable?: string;
  /** Where a machine lacks it and it cannot be installed, the tests that need it say so. */
  readonly optional?: boolean;
}

const programs: Readonly<Record<string, Program>> = {
  "redis-server": { debian: "redis-server", variable: "DLOCK_TEST_REDIS_URL" },
  "redis-sentinel": { debian: "redis-sentinel" },
  mariadbd: { debian: "mariadb-server", variable: "DLOCK_TEST_MYSQL_URL" },
  "mariadb-install-db": { debian: "mariadb-server" },
  etcd: { debian: "etcd-server", variable: "DLOCK_TEST_ETCD_URL" },
  libfaketime: { debian: "libfaketime", optional: true },
};

export type ServiceName = "redis" | "mysql" | "etcd";

const needs: Readonly<Record<ServiceName, readonly string[]>> = {
  redis: ["redis-server", "redis-sentinel", "libfaketime"],
  mysql: ["mariadbd", "mariadb-install-db", "libfaketime"],
  etcd: ["etcd"],
};

/** The full path of a program, which may be given by its path. Servers live in sbin folders, which the PATH of an ordinary user often lacks. */
export function onPath(program: string): string | undefined {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/local/sbin", "/usr/sbin", "/sbin", "/opt/homebrew/bin"];
  for (const folder of folders) {
    const path = resolve(folder, program);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not in this folder.
    }
  }
  return undefined;
}

/** What to do about a missing program, in one sentence for each way. */
export function installHint(program: string): string {
  const known = programs[program];
  if (known === undefined) return `${program} is not on the PATH`;
  if (known.optional) return `${program} is not installed (on Debian or Ubuntu: apt-get install ${known.debian})`;
  const instead = known.variable === undefined ? "" : `, or set ${known.variable} to the address of a server`;
  return `${program} is not on the PATH: install it (on Debian or Ubuntu: apt-get install ${known.debian}; elsewhere: docker compose up)${instead}`;
}

/**
 * Sees to it that the servers are there: installs what is missing when this is Debian or a child of it and we are root, and otherwise throws
 * an error that says what to install. A server whose address is given by its variable is not needed here.
 */
export function ensureInstalled(names: readonly ServiceName[]): void {
  const missing = names.flatMap((name) => needs[name]).filter((program) => !isGiven(program) && !isThere(program));
  if (missing.length === 0) return;
  if (!isDebian() || process.getuid?.() !== 0) {
    const needed = missing.filter((program) => !programs[program]?.optional);
    if (needed.length > 0) throw new Error(needed.map(installHint).join("\n"));
    return;
  }
  const packages = [...new Set(missing.map((program) => programs[program]?.debian ?? program))];
  withoutAutostart(() => {
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    execFileSync("apt-get", ["update", "-qq"], { stdio: "inherit", env });
    execFileSync("apt-get", ["install", "-y", "-qq", "--no-install-recommends", ...packages], { stdio: "inherit", env });
  });
}

function isThere(program: string): boolean {
  return (program === "libfaketime" ? fakeTimeLibrary() : onPath(program)) !== undefined;
}

function isGiven(program: string): boolean {
  const variable = programs[program]?.variable;
  return variable !== undefined && Boolean(process.env[variable]);
}

function isDebian(): boolean {
  return existsSync("/etc/debian_version") && onPath("apt-get") !== undefined;
}

const policyFile = "/usr/sbin/policy-rc.d";

/** Debian starts a server as soon as it is installed, unless this script says no (see invoke-rc.d(8)). */
function withoutAutostart(install: () => void): void {
  const before = existsSync(policyFile) ? readFileSync(policyFile) : undefined;
  if (before === undefined) writeFileSync(policyFile, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  try {
    install();
  } finally {
    if (before === undefined) rmSync(policyFile, { force: true });
  }
}

/** The library that fakes the clock of a process, where it is installed. Debian keeps it beside the libraries of the architecture. */
export function fakeTimeLibrary(): string | undefined {
  for (const folder of list("/usr/lib")) {
    const found = list(join("/usr/lib", folder, "faketime")).find((name) => name === "libfaketimeMT.so.1");
    if (found !== undefined) return join("/usr/lib", folder, "faketime", found);
  }
  return undefined;
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    // Not there, or not a folder.
    return [];
  }
}
