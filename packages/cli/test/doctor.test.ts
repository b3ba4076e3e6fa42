/** `dlock doctor`: what it finds out about backends that work, and about those that do not. */
import { startRedis } from "@dlock-tooling/services";
import { describe, expect, onTestFinished, test } from "vitest";
import { Folder } from "./support/dlock.ts";

const times = { pingMs: expect.any(Number), lockMs: expect.any(Number) };

describe("dlock doctor", () => {
  test("says that locks can be taken, and how long that takes, and leaves no lock behind", async () => {
    const folder = new Folder();
    const { exitCode, stdout, stderr } = await folder.run("doctor");
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    expect(stdout).toMatch(/^sqlite takes locks: ping [\d.]+ ms, lock and unlock [\d.]+ ms\n$/);
    const json = await folder.run("doctor", "--json");
    expect(JSON.parse(json.stdout)).toEqual({ backend: "sqlite", takesLocks: true, ...times, servers: [] });
    expect((await folder.run("list")).stdout).toBe("no lock is held\n");
  });

  test("ends with 69 and the reason when the backend is away or not installed, with 64 for what is no URL", async () => {
    const folder = new Folder();
    const away = await folder.run("doctor", "--url", "sqlite:no-such-folder/dlock.db");
    expect(away).toEqual({ exitCode: 69, stdout: "", stderr: expect.stringContaining("no-such-folder") });
    const json = await folder.run("doctor", "--url", "sqlite:no-such-folder/dlock.db", "--json");
    expect(json.exitCode).toBe(69);
    expect(JSON.parse(json.stdout)).toMatchObject({ takesLocks: false, problem: expect.stringContaining("no-such-folder") });
    const absent = await folder.run("doctor", "--url", "nosuch:");
    expect(absent).toEqual({ exitCode: 69, stdout: "", stderr: expect.stringContaining("npm install @dlock/nosuch") });
    const noUrl = await folder.run("doctor", "--url", "nothing");
    expect(noUrl).toEqual({ exitCode: 64, stdout: "", stderr: expect.stringContaining("--url must be a URL") });
  });

  test("shows what a Redis server says about itself and what could lose locks there, and when it is gone", async () => {
    const server = await startRedis();
    onTestFinished(() => server.stop());
    const folder = new Folder();
    const url = `${server.url}?prefix=doctor:`;
    const { exitCode, stdout } = await folder.run("doctor", "--url", url);
    expect(exitCode).toBe(0);
    const lines = stdout.split("\n");
    expect(lines[0]).toMatch(/^redis takes locks: ping /);
    expect(lines[1]).toBe(`server 127.0.0.1:${server.port}`);
    expect(lines).toContainEqual(expect.stringMatching(/^ {2}role +master$/));
    expect(lines).toContainEqual(expect.stringMatching(/^ {2}round trip +[\d.]+ ms$/));
    expect(lines).toContainEqual(expect.stringMatching(/^ {2}scripts +yes$/));
    expect(lines).toContainEqual("  warning: A restart loses locks: set appendonly and appendfsync always");
    await server.stop();
    const gone = await folder.run("doctor", "--url", url);
    expect(gone).toEqual({ exitCode: 69, stdout: "", stderr: expect.stringContaining("no connection to Redis") });
  });

  test("shows them also when the server takes no locks", async () => {
    const server = await startRedis({ config: { replicaof: "127.0.0.1 1" } });
    onTestFinished(() => server.stop());
    const folder = new Folder();
    const replica = await folder.run("doctor", "--url", server.url, "--json");
    expect(replica).toMatchObject({ exitCode: 69, stderr: "" });
    expect(JSON.parse(replica.stdout)).toEqual({
      backend: "redis",
      takesLocks: false,
      problem: expect.stringContaining("READONLY"),
      servers: [expect.objectContaining({ role: "slave", warnings: expect.arrayContaining(["This is a replica: locks need the master"]) })],
    });
    const text = await folder.run("doctor", "--url", server.url);
    expect(text.stdout).toMatch(/^server 127/);
    expect(text.stderr).toMatch(/^dlock: redis could not take writes: .*READONLY/);
  });
});
