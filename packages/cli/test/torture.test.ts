/** `dlock torture`: a verdict on servers that are not its own, nothing of it left behind, and nobody else harmed. */
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { startRedis } from "@dlock-tooling/services";
import { describe, expect, onTestFinished, test } from "vitest";
import { Folder } from "./support/dlock.ts";

/** Three seconds of torture, and the last waits; the rest is for machines that have much else to do. */
const timeout = 60_000;
const short = ["--minutes", "0.05", "--ttl", "500ms", "--workers", "2"];

/** One answer of a Redis server, as it came. */
async function ask(port: number, command: string): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  socket.write(`${command}\r\n`);
  const answer = await new Promise<Buffer>((resolve, reject) => socket.once("data", resolve).once("error", reject));
  socket.destroy();
  return answer.toString();
}

describe("dlock torture", () => {
  test("says what it will do before it begins, and ends with 0 and PASS", { timeout }, async () => {
    const folder = new Folder();
    const { exitCode, stdout, stderr } = await folder.run("torture", ...short, "--seed", "7");
    expect(stdout).toMatch(/\nPASS\n$/);
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^seed +7$/m);
    expect(stderr).toMatch(/^(dlock: .*\n)+$/);
    for (const fact of ["2 processes with 24 tasks for 3.0 s", "Faults: kill, pause;", "dlock-torture-", "Ctrl-C", "Seed 7"])
      expect(stderr).toContain(fact);
  });

  test("strikes the network of its own processes, and leaves a server as it was", { timeout }, async () => {
    const server = await startRedis();
    onTestFinished(() => server.stop());
    const folder = new Folder();
    const holder = folder.start("run", "mine", "--url", server.url, "--", "cat");
    while (!(await ask(server.port, "KEYS *")).includes("mine")) await sleep(20);
    const held = async () => JSON.parse((await folder.run("inspect", "mine", "--url", server.url, "--json")).stdout).holders[0];
    const { owner, token } = await held();
    const { exitCode, stdout } = await folder.run("torture", "--url", server.url, ...short, "--faults", "kill,partition", "--json");
    const verdict = JSON.parse(stdout);
    expect(verdict).toMatchObject({ pass: true, backend: "redis", overlaps: [], toldLate: [], tokens: [], ghosts: [], complaints: [] });
    expect(exitCode).toBe(0);
    expect(verdict.acquisitions).toBeGreaterThan(10);
    expect(verdict.faults).toBeGreaterThan(0);
    // The one lock that was there is still the same, and nothing else has come.
    expect(await held()).toMatchObject({ owner, token });
    expect(await ask(server.port, "KEYS *")).not.toContain("torture");
    holder.signal("SIGTERM");
    await holder.ended;
  });

  test("ends with 70, FAIL and what it has found on a server that forgets", { timeout }, async () => {
    const server = await startRedis();
    onTestFinished(() => server.stop());
    const torture = new Folder().start("torture", "--url", server.url, ...short, "--faults", "none");
    let over = false;
    void torture.ended.finally(() => {
      over = true;
    });
    while (!over) {
      await ask(server.port, "FLUSHALL");
      await sleep(20);
    }
    expect(await torture.ended).toBe(70);
    expect(torture.stdout).toMatch(/\nFAULT {2}.* was granted .*\n(.*\n)*FAIL\n$/);
  });

  test("ends early at Ctrl-C, with a verdict on what was", { timeout }, async () => {
    const folder = new Folder();
    const torture = folder.start("torture", ...short, "--minutes", "60", "--faults", "none");
    const locks = folder.locks();
    for (let held = 0; held === 0; await sleep(20)) for await (const _ of locks.list({ prefix: "dlock-torture-" })) held++;
    torture.signal("SIGINT");
    expect(await torture.ended).toBe(0);
    expect(torture.stdout).toMatch(/\nPASS\n$/);
  });

  test.each([
    ["harm to the server", ["--url", "redis://127.0.0.1:1", "--faults", "server"], "--faults takes kill, pause, partition or none"],
    ["a network that there is not", ["--faults", "partition"], "--faults takes kill, pause or none"],
    ["no time at all", ["--minutes", "0"], "--minutes must be a number from"],
    ["half a worker", ["--workers", "1.5"], "--workers must be a whole number"],
    ["a URL that is none", ["--url", "nothing"], "--url must be a URL"],
  ])("ends with 64 for %s", async (_, args, message) => {
    expect(await new Folder().run("torture", ...args)).toEqual({ exitCode: 64, stdout: "", stderr: expect.stringContaining(message) });
  });

  test("ends with 69 when the backend is away or not installed, before it starts anything", async () => {
    const away = await new Folder().run("torture", "--url", "redis://127.0.0.1:1");
    expect(away).toEqual({ exitCode: 69, stdout: "", stderr: expect.stringContaining("no connection to Redis") });
    const absent = await new Folder().run("torture", "--url", "nosuch:");
    expect(absent).toEqual({ exitCode: 69, stdout: "", stderr: expect.stringContaining("npm install @dlock/nosuch") });
  });
});
