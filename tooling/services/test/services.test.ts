// Every server really starts, answers, survives mistreatment, and leaves nothing behind.
import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect, it, vi } from "vitest";
import { type Service, startEtcd, startMysql, startRedis, startRedisCluster, startRedisSentinel } from "../src/index.ts";
import { installHint } from "../src/install.ts";

/** Sends one Redis command and resolves to the answer's first line, or to undefined when none comes within `ms`. */
function ask(service: Service, command: string, ms = 1_000): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect(service.port, service.host, () => socket.write(`${command}\r\n`));
    const finish = (answer: string | undefined) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once("data", (data) => finish(data.toString().split("\r\n")[0]));
    socket.once("error", () => finish(undefined));
    socket.setTimeout(ms, () => finish(undefined));
  });
}

/** Whether it is there, and not only waits to be collected by whoever adopts orphans. */
function runs(pid: number): boolean {
  try {
    return !readFileSync(`/proc/${pid}/status`, "utf8").includes("\nState:\tZ");
  } catch {
    return false;
  }
}

it("a Redis server keeps its data over a kill when it is told to, and its port always", async () => {
  const redis = await startRedis({ config: { appendonly: "yes", appendfsync: "always" } });
  const { pid, port } = redis;
  expect(await ask(redis, "SET a 1")).toBe("+OK");
  await redis.kill();
  expect(await ask(redis, "GET a")).toBeUndefined();
  await redis.restart();
  expect(redis.port).toBe(port);
  expect(redis.pid).not.toBe(pid);
  expect(await ask(redis, "STRLEN a")).toBe(":1");
  await redis.stop();
  expect(existsSync(redis.folder)).toBe(false);
});

it("a server that is stopped takes the processes along that it has forked, which would write on", async () => {
  // A snapshot of 1,000 keys that takes a minute.
  const redis = await startRedis({ config: { "rdb-key-save-delay": "60000" } });
  expect(await ask(redis, `EVAL "for i = 1, 1000 do redis.call('SET', i, i) end return 'OK'" 0`)).toBe("$2");
  expect(await ask(redis, "BGSAVE")).toBe("+Background saving started");
  const writer = Number(readFileSync(`/proc/${redis.pid}/task/${redis.pid}/children`, "utf8"));
  // So that it cannot notice by itself that the server is gone.
  process.kill(writer, "SIGSTOP");
  await redis.stop();
  expect(existsSync(redis.folder)).toBe(false);
  while (runs(writer)) await sleep(10);
});

it("a paused server keeps its connections and answers when it is resumed", async () => {
  const redis = await startRedis();
  redis.pause();
  expect(await ask(redis, "PING", 100)).toBeUndefined();
  redis.resume();
  expect(await ask(redis, "PING")).toBe("+PONG");
  redis.pause();
  await redis.restart();
  expect(await ask(redis, "PING")).toBe("+PONG");
  await redis.stop();
});

it("a server that cannot start says what it said", async () => {
  await expect(startRedis({ config: { "no-such-directive": "1" } })).rejects.toThrow(/ended before it answered[\s\S]*no-such-directive/);
});

it("a MariaDB server greets its clients and restarts", async () => {
  const mysql = await startMysql();
  await mysql.kill();
  await mysql.restart();
  expect(mysql.url).toBe(`mysql://dlock:dlock@127.0.0.1:${mysql.port}/dlock`);
  expect(runs(mysql.pid)).toBe(true);
  await mysql.stop();
  expect(existsSync(mysql.folder)).toBe(false);
});

it("the mysqld of MySQL that DLOCK_TEST_MYSQLD names is asked for instead of MariaDB", async () => {
  vi.stubEnv("DLOCK_TEST_MYSQLD", "/nowhere/mysqld");
  await expect(startMysql()).rejects.toThrow("/nowhere/mysqld is not on the PATH");
  vi.unstubAllEnvs();
});

it("three etcd servers stay healthy when one of them is killed", async () => {
  const etcd = await startEtcd({ members: 3 });
  await etcd.members[0]?.kill();
  const health = async () => ((await (await fetch(`${etcd.hosts[1]}/health`)).json()) as { health: string }).health;
  // A new leader may have to be chosen first.
  while ((await health().catch(() => "false")) !== "true") await sleep(50);
  await etcd.members[0]?.restart();
  await etcd.stop();
  expect(etcd.members.map((member) => existsSync(member.folder))).toEqual([false, false, false]);
});

it("a test process that dies leaves neither servers nor files", async () => {
  const script = fileURLToPath(new URL("crash.mjs", import.meta.url));
  const output = await new Promise<string>((resolve) => execFile(process.execPath, [script], (_error, stdout) => resolve(stdout)));
  const left = JSON.parse(output) as { pid: number; folder: string };
  while (existsSync(left.folder) || runs(left.pid)) await sleep(10);
  expect(left.pid).toBeGreaterThan(0);
});

it("a missing program is named with the ways to get it", () => {
  expect(installHint("redis-server")).toContain("apt-get install redis-server");
  expect(installHint("redis-server")).toContain("DLOCK_TEST_REDIS_URL");
});

it("Sentinels make the replica the master when the master is killed", async () => {
  const { master, servers, stop } = await startRedisSentinel();
  expect(await master()).toBe(servers[0]);
  await servers[0].kill();
  while ((await master()) !== servers[1]) await sleep(50);
  expect(await ask(servers[1], "ROLE")).toBe("*3");
  await stop();
});

it("a Cluster has a master for every slot and replaces one that is killed", async () => {
  const { nodes, masterOf, stop } = await startRedisCluster();
  expect(await Promise.all([0, 6_000, 16_383].map(masterOf))).toEqual(nodes.slice(0, 3));
  await nodes[0]?.kill();
  while ((await masterOf(0).catch(() => nodes[0])) !== nodes[3]) await sleep(50);
  expect(await masterOf(16_383)).toBe(nodes[2]);
  await stop();
});
