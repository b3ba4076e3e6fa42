/** MariaDB servers with an empty database `dlock`. */
import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { installHint, onPath } from "./install.js";
import { freePort, loopback } from "./ports.js";
import { firstAnswer } from "./probe.js";
import { type Service, startService, temporaryFolder } from "./service.js";

export interface MysqlService extends Service {
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

const run = promisify(execFile);
const user = "dlock";
const password = "dlock";
const database = "dlock";

/** Small files: the tests create and remove many servers. */
const small = ["--innodb-log-file-size=8M", "--innodb-buffer-pool-size=32M", "--skip-log-bin", "--aria-log-file-size=8M"];

/**
 * Starts a server whose user `dlock` may do everything.
 *
 * @param options.args further options of mariadbd, such as `--max-connections=10`.
 * @param options.env further environment variables, such as those of libfaketime.
 */
export async function startMysql(
  options: { args?: readonly string[]; env?: Readonly<Record<string, string>> } = {},
): Promise<MysqlService> {
  const installer = onPath("mariadb-install-db");
  if (installer === undefined) throw new Error(installHint("mariadb-install-db"));
  const folder = await temporaryFolder("mysql");
  const data = join(folder, "data");
  // Servers remove from a folder for temporary files that they share what another one is about to use.
  const temporary = join(folder, "tmp");
  await mkdir(temporary);
  // Without this mariadbd refuses to run as root; for anyone else it has no meaning.
  const asRoot = process.getuid?.() === 0 ? ["--user=root"] : [];
  await run(installer, [
    "--no-defaults",
    `--datadir=${data}`,
    `--tmpdir=${temporary}`,
    "--auth-root-authentication-method=normal",
    "--skip-test-db",
    "--skip-name-resolve",
    ...asRoot,
    ...small,
  ]);
  const port = await freePort();
  const init = join(folder, "init.sql");
  await writeFile(
    init,
    `CREATE DATABASE IF NOT EXISTS ${database};
CREATE USER IF NOT EXISTS '${user}'@'%' IDENTIFIED BY '${password}';
GRANT ALL ON *.* TO '${user}'@'%' WITH GRANT OPTION;
`,
  );
  const service = await startService({
    program: "mariadbd",
    url: `mysql://${user}:${password}@${loopback}:${port}/${database}`,
    port,
    folder,
    args: [
      "--no-defaults",
      ...asRoot,
      `--datadir=${data}`,
      `--tmpdir=${temporary}`,
      `--bind-address=${loopback}`,
      `--port=${port}`,
      `--socket=${join(folder, "s")}`,
      `--pid-file=${join(folder, "pid")}`,
      `--init-file=${init}`,
      "--skip-networking=0",
      "--skip-name-resolve",
      ...small,
      ...(options.args ?? []),
    ],
    env: options.env,
    // The greeting: three bytes of length, a sequence number, then the protocol version, 10. An error packet has 255 there.
    ready: async () => (await firstAnswer(port))[4] === 10,
  });
  return extend(service, { user, password, database });
}

/** Adds properties without freezing `pid`, which is a getter. */
function extend<T extends object>(service: Service, more: T): Service & T {
  return Object.defineProperties(service, Object.getOwnPropertyDescriptors(more)) as Service & T;
}
