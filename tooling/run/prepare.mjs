/** What every command of the project does first: dependencies as the lockfile says, then a build. Plain Node: nothing is installed yet. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../..", import.meta.url));

/** The environment of every tool: the workspace's own commands come first on the path, since turbo looks for pnpm there. */
export const env = {
  ...process.env,
  PATH: [join(root, "node_modules/.bin"), process.env.PATH].join(delimiter),
  TURBO_TELEMETRY_DISABLED: "1",
  TURBO_NO_UPDATE_NOTIFIER: "1",
};

/** Runs a command and returns its exit code; 1 when it could not be started or died by a signal. */
export function run(command, args, options = {}) {
  const { status, error } = spawnSync(command, args, { cwd: root, env, stdio: "inherit", ...options });
  if (error !== undefined) console.error(`${command}: ${error.message}`);
  return status ?? 1;
}

/** Ends the process with the command's exit code unless that is 0. */
export function must(command, args, options) {
  const status = run(command, args, options);
  if (status !== 0) process.exit(status);
}

/** Installs when the lockfile has changed since the last time. */
export function install() {
  const { packageManager } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const hash = createHash("sha256")
    .update(readFileSync(join(root, "pnpm-lock.yaml")))
    .digest("hex");
  const marker = join(root, "node_modules/.dlock-installed");
  if (existsSync(marker) && readFileSync(marker, "utf8") === hash) return;
  must("npx", ["-y", packageManager, "install", "--frozen-lockfile"]);
  writeFileSync(marker, hash);
}

/** Installs and builds; quick when nothing changed. */
export function prepare() {
  install();
  must("turbo", ["run", "build", "--output-logs=errors-only", "--log-prefix=none"]);
}
