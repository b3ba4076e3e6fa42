/** `dlock run`: the command, its environment, its signals, and every exit code. */
import { constants } from "node:fs";
import { describe, expect, test } from "vitest";
import { type Dlock, Folder, main } from "./support/dlock.ts";

/** Says it is ready, and at SIGTERM says so and ends with 9. A sleeper that the kill misses, which has just been forked, must not keep the output open. */
const endsPolitely = ["sh", "-c", `trap 'echo ending; kill $!; exit 9' TERM; sleep 60 >/dev/null 2>&1 & echo ready; wait`];
/** Ends when a line is typed. */
const endsWhenTold = ["sh", "-c", "echo ready; read line; echo $line"];

describe("dlock run", () => {
  test("gives the command the key, the owner and the token of a lock that is held until the command ends", async () => {
    const folder = new Folder();
    const locks = folder.locks();
    const dlock = folder.start("run", "a key", "--", "sh", "-c", 'echo "$DLOCK_KEY|$DLOCK_OWNER|$DLOCK_TOKEN|"; read line');
    await dlock.said("\n");
    const [holder] = await locks.inspect("a key");
    expect(dlock.stdout).toBe(`a key|${holder?.owner}|${holder?.token}|\n`);
    expect(holder?.metadata).toMatch(/^pid \d+: sh$/);
    dlock.type("");
    expect(await dlock.ended).toBe(0);
    expect(await locks.isLocked("a key")).toBe(false);
  });

  test("passes arguments, standard input and both outputs through untouched", async () => {
    const dlock = new Folder().start("run", "k", "--", "sh", "-c", 'echo "$@"; echo to stderr >&2; cat', "sh", "--ttl", "--", "-x");
    dlock.type("typed");
    await dlock.said("typed\n");
    dlock.signal("SIGTERM");
    await dlock.ended;
    expect(dlock.stdout).toBe("--ttl -- -x\ntyped\n");
    expect(dlock.stderr).toBe("to stderr\n");
  });

  test("renews the lock for as long as the command runs", async () => {
    const folder = new Folder();
    const locks = folder.locks();
    const dlock = folder.start("run", "k", "--ttl", "200ms", "--", ...endsWhenTold);
    await dlock.said("ready");
    const outlasted = locks.lock("k", { waitMs: 1_000 });
    await expect(outlasted).rejects.toThrow("waited");
    dlock.type("done");
    expect(await dlock.ended).toBe(0);
    expect(dlock.stdout).toContain("done");
  });

  test.each([
    ["its own code", "exit 3", 3],
    ["128 + n after signal n", "kill -KILL $$", 137],
  ])("ends with the command's exit code: %s", async (_, script, exitCode) => {
    expect(await new Folder().run("run", "k", "--", "sh", "-c", script)).toEqual({ exitCode, stdout: "", stderr: "" });
  });

  test("ends with 127 for a command that is not there and 126 for one that cannot run, and lets go of the lock", async () => {
    const folder = new Folder();
    const absent = await folder.run("run", "k", "--wait", "0", "--", "no-such-command");
    expect(absent).toEqual({ exitCode: 127, stdout: "", stderr: "dlock: no-such-command: command not found\n" });
    const barred = await folder.run("run", "k", "--wait", "0", "--", "./dlock.db");
    expect(barred.exitCode).toBe(126);
    expect(barred.stderr).toContain("./dlock.db");
    expect(await folder.locks().isLocked("k")).toBe(false);
  });

  test.each(["0", "100ms"])(
    "ends with 75 when another holds the key, and says who, since when and for how long (--wait %s)",
    async (wait) => {
      const folder = new Folder();
      const lock = await folder.locks().lock("k", { metadata: "night job" });
      const { exitCode, stdout, stderr } = await folder.run("run", "k", "--wait", wait, "--", "echo", "ran");
      expect(exitCode).toBe(75);
      expect(stdout).toBe("");
      expect(stderr).toContain(`k is held by ${lock.owner.replace("#0", "")} (night job) since 20`);
      expect(stderr).toMatch(/Z, for \d+(\.\d)? m?s; it ends in \d+(\.\d)? s unless renewed\n$/);
    },
  );

  test("waits until the holder lets go", async () => {
    const folder = new Folder();
    const first = folder.start("run", "k", "--", ...endsWhenTold);
    await first.said("ready");
    const second = folder.start("run", "k", "--", "sh", "-c", "echo $DLOCK_KEY");
    await second.catchesSignals();
    first.type("");
    expect(await second.ended).toBe(0);
    expect(second.stdout).toBe("k\n");
  });

  test("lets as many in as --limit says", async () => {
    const folder = new Folder();
    const inside = [1, 2].map(() => folder.start("run", "k", "--limit", "2", "--", ...endsWhenTold));
    for (const dlock of inside) await dlock.said("ready");
    expect((await folder.run("run", "k", "--limit", "2", "--wait", "0", "--", "true")).exitCode).toBe(75);
    for (const dlock of inside) dlock.type("");
    expect(await Promise.all(inside.map((dlock) => dlock.ended))).toEqual([0, 0]);
  });

  test("takes the backend from --url, else from DLOCK_URL, else dlock.db in the working directory", async () => {
    const folder = new Folder();
    const locked = `${process.execPath} ${main} run k --wait 0`;
    const script = [
      `${locked} -- true; echo $?`,
      `DLOCK_URL=sqlite:other.db ${locked} -- true; echo $?`,
      `${locked} --url memory: -- true; echo $?`,
    ];
    const { stdout } = await folder.run("run", "k", "--", "sh", "-c", script.join("; "));
    expect(stdout).toBe("75\n0\n0\n");
  });

  test.each([
    ["no command", ["run", "k"]],
    ["an unknown option", ["run", "k", "--fast", "--", "true"]],
    ["an empty key", ["run", "", "--", "true"]],
    ["a TTL that is no duration", ["run", "k", "--ttl", "soon", "--", "true"]],
    ["a TTL out of range", ["run", "k", "--ttl", "1ms", "--", "true"]],
    ["a negative wait", ["run", "k", "--wait", "-1", "--", "true"]],
    ["a limit of none", ["run", "k", "--limit", "0", "--", "true"]],
    ["a limit that is no number", ["run", "k", "--limit", "few", "--", "true"]],
    ["a URL that is none", ["run", "k", "--url", "here", "--", "true"]],
    ["an unknown parameter in the URL", ["run", "k", "--url", "sqlite:dlock.db?speed=high", "--", "true"]],
    ["an unknown command", ["guard", "k"]],
    ["nothing at all", []],
  ])("ends with 64 for bad usage: %s", async (_, args) => {
    const { exitCode, stdout, stderr } = await new Folder().run(...args);
    expect(exitCode).toBe(64);
    expect(stdout).toBe("");
    expect(stderr).not.toBe("");
  });

  test("ends with 69 when the backend is away", async () => {
    const { exitCode, stderr } = await new Folder().run("run", "k", "--url", "sqlite:no-such-folder/dlock.db", "--", "echo", "ran");
    expect(exitCode).toBe(69);
    expect(stderr).toMatch(/^dlock: sqlite could not acquire the lock "k": .*no-such-folder/);
  });

  test("ends with 69 when the backend is not installed, and says what to install", async () => {
    const { exitCode, stderr } = await new Folder().run("run", "k", "--url", "nosuch:", "--", "echo", "ran");
    expect(exitCode).toBe(69);
    expect(stderr).toContain("npm install @dlock/nosuch");
  });
});

describe("a signal", () => {
  test.each(["INT", "TERM", "HUP", "QUIT", "USR1", "USR2"])("SIG%s is passed on, and the command decides", async (signal) => {
    const script = `trap 'echo got it; kill $!; exit 7' ${signal}; sleep 60 >/dev/null 2>&1 & echo ready; wait`;
    const dlock = new Folder().start("run", "k", "--", "sh", "-c", script);
    await dlock.said("ready");
    dlock.signal(`SIG${signal}` as NodeJS.Signals);
    expect(await dlock.ended).toBe(7);
    expect(dlock.stdout).toBe("ready\ngot it\n");
  });

  test("that ends the command frees the lock", async () => {
    const folder = new Folder();
    const dlock = folder.start("run", "k", "--", "sh", "-c", "echo ready; exec sleep 60");
    await dlock.said("ready");
    dlock.signal("SIGTERM");
    expect(await dlock.ended).toBe(143);
    expect(await folder.locks().isLocked("k")).toBe(false);
  });

  test("ends a wait, and the command never starts", async () => {
    const folder = new Folder();
    await folder.locks().lock("k");
    const dlock = folder.start("run", "k", "--wait", "60s", "--", "echo", "ran");
    await dlock.catchesSignals();
    dlock.signal("SIGHUP");
    expect(await dlock.ended).toBe(129);
    expect(dlock.stdout).toBe("");
  });
});

describe("when the lock is lost", () => {
  test("the command gets SIGTERM, and its exit code stands", async () => {
    const folder = new Folder();
    const dlock = folder.start("run", "k", "--ttl", "300ms", "--", ...endsPolitely);
    await dlock.said("ready");
    expect((await folder.run("unlock", "k", "--force")).exitCode).toBe(0);
    expect(await dlock.ended).toBe(9);
    expect(dlock.stdout).toBe("ready\nending\n");
    expect(dlock.stderr).toBe("dlock: the lock k was lost: ending sh, at the latest in 10.0 s\n");
  });

  test("neither the message nor the signal makes the command's streams non-blocking", async () => {
    const folder = new Folder();
    const script = `trap 'kill $!; grep -h flags /proc/self/fdinfo/0 /proc/self/fdinfo/2; exit 9' TERM; sleep 60 >/dev/null 2>&1 & echo ready; wait`;
    for (const end of [(dlock: Dlock) => dlock.signal("SIGTERM"), () => folder.run("unlock", "k", "--force")]) {
      const dlock = folder.start("run", "k", "--ttl", "300ms", "--", "sh", "-c", script);
      await dlock.said("ready");
      await end(dlock);
      expect(await dlock.ended).toBe(9);
      const flags = [...dlock.stdout.matchAll(/^flags:\s*([0-7]+)$/gm)].map(([, octal]) => Number.parseInt(octal ?? "", 8));
      expect(flags).toHaveLength(2);
      for (const flag of flags) expect(flag & constants.O_NONBLOCK).toBe(0);
    }
  });

  test("a command that ignores SIGTERM gets SIGKILL after --grace", async () => {
    const folder = new Folder();
    const dlock = folder.start(
      "run",
      "k",
      "--ttl",
      "300ms",
      "--grace",
      "100ms",
      "--",
      "sh",
      "-c",
      "trap '' TERM; echo ready; exec sleep 60",
    );
    await dlock.said("ready");
    await folder.run("unlock", "k", "--force");
    expect(await dlock.ended).toBe(137);
  });

  test("because dlock was stopped past the TTL, the command is ended as soon as dlock goes on", async () => {
    const folder = new Folder();
    const dlock = folder.start("run", "k", "--ttl", "300ms", "--", ...endsPolitely);
    await dlock.said("ready");
    dlock.signal("SIGSTOP");
    const next = await folder.locks().lock("k", { waitMs: 10_000 });
    dlock.signal("SIGCONT");
    expect(await dlock.ended).toBe(9);
    expect(next.isHeld).toBe(true);
  });

  test("a command that ends with 0 all the same makes 76", async () => {
    const script = `${process.execPath} ${main} unlock k --force`;
    const { exitCode, stderr } = await new Folder().run("run", "k", "--", "sh", "-c", script);
    expect(exitCode).toBe(76);
    expect(stderr).toContain("the lock k was lost before sh ended");
  });
});
