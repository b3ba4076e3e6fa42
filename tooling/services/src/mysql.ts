/** MariaDB servers, or MySQL ones where DLOCK_TEST_MYSQLD names its `mysqld`, with an empty database `dlock`. */
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

/** One of the two servers: with small files, as the tests create and remove many. */
interface Flavour {
  readonly program: string;
  readonly options: readonly string[];
  /** Fills the empty folder for data that `options` name. */
  prepare(options: readonly string[]): Promise<unknown>;
}

const small = ["--innodb-buffer-pool-size=32M", "--skip-log-bin"];

const mariadb: Flavour = {
  program: "mariadbd",
  options: [...small, "--innodb-log-file-size=8M", "--aria-log-file-size=8M"],
  async prepare(options) {
    const installer = onPath("mariadb-install-db");
    if (installer === undefined) throw new Error(installHint("mariadb-install-db"));
    await run(installer, [
      "--no-defaults",
      ...options,
      "--auth-root-authentication-method=normal",
      "--skip-test-db",
      "--skip-name-resolve",
    ]);
  },
};

/** @param program the name or path of a `mysqld` that is not MariaDB's. */
function mysql(program: string): Flavour {
  return {
    program,
    // What a distribution's MySQL shares otherwise: the port of the X protocol, and a folder for files that only its installation makes.
    options: [...small, "--innodb-redo-log-capacity=16M", "--mysqlx=OFF", "--secure-file-priv=NULL"],
    async prepare(options) {
      const server = onPath(program);
      if (server === undefined) throw new Error(installHint(program));
      await run(server, ["--no-defaults", ...options, "--initialize-insecure"]);
    },
  };
}

/**
 * Starts a server whose user `dlock` may do everything.
 *
 * @param options.args further options of the server, such as `--max-connections=10`.
 * @param options.env further environment variables, such as those of libfaketime.
 */
export async function startMysql(
  options: { args?: readonly string[]; env?: Readonly<Record<string, string>> } = {},
): Promise<MysqlService> {
  const named = process.env.DLOCK_TEST_MYSQLD;
  const flavour = named ? mysql(named) : mariadb;
  const folder = await temporaryFolder("mysql");
  // Servers remove from a folder for temporary files that they share what another one is about to use.
  const temporary = join(folder, "tmp");
  await mkdir(temporary);
  const common = [
    `--datadir=${join(folder, "data")}`,
    `--tmpdir=${temporary}`,
    // Without this the servers refuse to run as root; for anyone else it has no meaning.
    ...(process.getuid?.() === 0 ? ["--user=root"] : []),
    ...flavour.options,
  ];
  await flavour.prepare(common);
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
    program: flavour.program,
    url: `mysql://${user}:${password}@${loopback}:${port}/${database}`,
    port,
    folder,
    args: [
      "--no-defaults",
      ...common,
      `--bind-address=${loopback}`,
      `--port=${port}`,
      `--socket=${join(folder, "s")}`,
      `--pid-file=${join(folder, "pid")}`,
      `--init-file=${init}`,
      "--skip-networking=0",
      "--skip-name-resolve",
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
