/** `dlock inspect`, `list` and `unlock`: what they print for people and for programs, and what they free. */
import { beforeEach, describe, expect, test } from "vitest";
import { Folder } from "./support/dlock.ts";

let folder: Folder;
beforeEach(() => {
  folder = new Folder();
});

async function json(...args: string[]): Promise<unknown> {
  const { exitCode, stdout, stderr } = await folder.run(...args, "--json");
  expect(exitCode, stderr).toBe(0);
  return JSON.parse(stdout);
}

describe("dlock inspect", () => {
  test("says that a key is free", async () => {
    expect(await folder.run("inspect", "k")).toEqual({ exitCode: 0, stdout: "k is free\n", stderr: "" });
    expect(await json("inspect", "k")).toEqual({ key: "k", holders: [] });
  });

  test("shows every holder, with tokens as decimal strings", async () => {
    const locks = folder.locks();
    await locks.lock("k", { mode: "shared", owner: "first" });
    const second = await locks.lock("k", { mode: "shared", owner: "second", metadata: "a note" });
    const times = { heldMs: expect.any(Number), remainingMs: expect.any(Number) };
    const tokens = (await locks.inspect("k")).map((holder) => String(holder.token));
    expect(await json("inspect", "k")).toEqual({
      key: "k",
      holders: [
        { owner: "first", token: tokens[0], mode: "shared", ...times },
        { owner: "second", token: String(second.token), mode: "shared", ...times, metadata: "a note" },
      ],
    });
    const { stdout } = await folder.run("inspect", "k");
    expect(stdout).toContain(`k is held (shared, token ${second.token}) by second (a note) since `);
  });

  test("quotes names that could steer the terminal", async () => {
    await folder.locks().lock("a\u001b[31mb", { owner: "x\u009by" });
    const { stdout } = await folder.run("inspect", "a\u001b[31mb");
    expect(stdout).toContain('"a\\u001b[31mb" is held');
    expect(stdout).toContain('"x\\u009by" since');
  });
});

describe("dlock list", () => {
  test("says that no lock is held", async () => {
    expect((await folder.run("list")).stdout).toBe("no lock is held\n");
    expect(await json("list")).toEqual([]);
  });

  test("lists what is held in the order of keys, all or by prefix", async () => {
    const locks = folder.locks();
    for (const key of ["job:2", "other", "job:1"]) await locks.lock(key, { owner: `owner of ${key}` });
    expect(await json("list")).toMatchObject([{ key: "job:1" }, { key: "job:2" }, { key: "other" }]);
    expect(await json("list", "--prefix", "job:")).toEqual(
      ["job:1", "job:2"].map((key) => ({
        key,
        owner: `owner of ${key}`,
        token: expect.stringMatching(/^\d+$/),
        mode: "exclusive",
        heldMs: expect.any(Number),
        remainingMs: expect.any(Number),
      })),
    );
    const lines = (await folder.run("list", "--prefix", "o")).stdout.split("\n");
    expect(lines[0]).toMatch(/^KEY +MODE +HELD FOR +ENDS IN +TOKEN +OWNER +NOTE$/);
    expect(lines[1]).toMatch(/^other +exclusive +.* +\d+ +"owner of other"$/);
  });
});

describe("dlock unlock", () => {
  test("frees a key from the owner that inspect shows, and from no other", async () => {
    const locks = folder.locks();
    const lock = await locks.lock("k");
    const refused = await folder.run("unlock", "k", "--owner", "somebody");
    expect(refused).toEqual({ exitCode: 1, stdout: "", stderr: "dlock: k is not held by somebody\n" });
    const [holder] = await locks.inspect("k");
    const owner = holder?.owner ?? "nobody";
    expect(await json("unlock", "k", "--owner", owner)).toEqual({ key: "k", released: [{ owner, token: String(lock.token) }] });
    expect(await locks.isLocked("k")).toBe(false);
  });

  test("frees a key from everyone with --force, and finds nothing wrong with a free one", async () => {
    const locks = folder.locks();
    for (const owner of ["first", "second"]) await locks.lock("k", { mode: "shared", owner });
    expect((await folder.run("unlock", "k", "--force")).stdout).toBe("freed k from first\nfreed k from second\n");
    expect(await locks.isLocked("k")).toBe(false);
    expect(await json("unlock", "k", "--force")).toEqual({ key: "k", released: [] });
  });

  test.each([
    ["neither --owner nor --force", []],
    ["both", ["--owner", "somebody", "--force"]],
  ])("ends with 64 for %s", async (_, args) => {
    await folder.locks().lock("k");
    expect((await folder.run("unlock", "k", ...args)).exitCode).toBe(64);
    expect(await folder.locks().isLocked("k")).toBe(true);
  });
});

test.each(["inspect", "list", "unlock"])("dlock %s ends with 69 when the backend is away", async (command) => {
  const args = { inspect: ["k"], list: [], unlock: ["k", "--force"] }[command] ?? [];
  const { exitCode, stderr } = await folder.run(command, ...args, "--url", "sqlite:no-such-folder/dlock.db");
  expect(exitCode).toBe(69);
  expect(stderr).toContain("no-such-folder");
});

test.each([["--version"], ["--help"], ["run", "--help"]])("dlock %s %s ends with 0", async (...args) => {
  const { exitCode, stdout } = await folder.run(...args);
  expect(exitCode).toBe(0);
  expect(stdout).not.toBe("");
});
