/** `closeOnExit`, in processes of their own that load the built package: everything is released in one batch, and the exit code is the usual one. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { describe, expect, onTestFinished, test } from "vitest";
import { closeOnExit } from "../src/index.ts";

const script = fileURLToPath(new URL("./support/exit-main.mjs", import.meta.url));

interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly lines: readonly string[];
  readonly errors: string;
}

/** Whatever a failed test left behind: the child leads a group of its own. */
function endGroup(leader: number): void {
  try {
    process.kill(-leader, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

type Act = (pid: number, child: ChildProcess) => void;

/** Runs a scene, by `command` if given; once it is ready, does `act` to it. */
async function ending(scene: string, act: Act = () => {}, command: readonly string[] = []): Promise<Ending> {
  const [file = process.execPath, ...args] = [...command, process.execPath, script, scene];
  const child = spawn(file, args, { stdio: ["ignore", "pipe", "pipe"], detached: true });
  onTestFinished(() => endGroup(child.pid as number));
  const lines: string[] = [];
  let errors = "";
  child.stderr.on("data", (data) => {
    errors += data;
  });
  createInterface(child.stdout).on("line", (line) => {
    if (line.startsWith("ready ")) act(Number(line.slice(6)), child);
    else lines.push(line);
  });
  const [code, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
  return { code, signal, lines, errors };
}

const term = (pid: number) => void process.kill(pid, "SIGTERM");
const interrupt = (pid: number) => void process.kill(pid, "SIGINT");
const allAtOnce = ["release a b c", "close"];

describe("closeOnExit", () => {
  test.each([
    ["SIGTERM", term],
    ["SIGINT", interrupt],
  ] as const)("at %s releases everything in one batch and ends by that signal", async (signal, act) => {
    expect(await ending("busy", act)).toEqual({ code: null, signal, lines: allAtOnce, errors: "" });
  });

  test.each([
    ["SIGTERM", 143, term],
    ["SIGINT", 130, interrupt],
  ] as const)("at %s gives a shell the code %i", async (_, code, act) => {
    const shell = ["/bin/sh", "-c", '"$@"; exit $?', "sh"];
    expect(await ending("busy", act, shell)).toMatchObject({ code, lines: allAtOnce });
  });

  // The first process of a container: signals have no default action there, and nothing would end it.
  const container = ["unshare", "--map-root-user", "--fork", "--pid"];
  const canUnshare = spawnSync(container[0] as string, [...container.slice(1), "true"]).status === 0;

  test.skipIf(!canUnshare)("gives the usual code as the first process of a container, when all is closed", async () => {
    const inside = (_: number, { pid }: ChildProcess) => term(Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8")));
    expect(await ending("busy", inside, container)).toMatchObject({ code: 143, lines: allAtOnce });
    const two = await ending("two", inside, container);
    expect(two.code).toBe(143);
    expect(two.lines).toContain("slow ends");
  });

  test("when nothing is left to do releases everything and ends with 0, or the code that was set", async () => {
    expect(await ending("idle")).toEqual({ code: 0, signal: null, lines: allAtOnce, errors: "" });
    expect(await ending("exit code")).toMatchObject({ code: 3, lines: allAtOnce });
  });

  test("ends in time when the server is silent, and when what it closes hangs or throws", async () => {
    expect(await ending("silent", term)).toMatchObject({ signal: "SIGTERM", lines: allAtOnce });
    expect(await ending("hanging", term)).toMatchObject({ signal: "SIGTERM", lines: [], errors: "" });
    expect(await ending("failing", term)).toMatchObject({ signal: "SIGTERM", lines: [], errors: "" });
  });

  test("takes a second signal with patience: it closes once, and to the end", async () => {
    const twice = (pid: number) => {
      interrupt(pid);
      term(pid);
    };
    expect((await ending("slow", twice)).lines).toEqual(["slow begins", "slow ends"]);
  });

  test("leaves ending the process to others who listen to the signal, be it once only", async () => {
    const { code, lines } = await ending("other", term);
    expect(code).toBe(7);
    expect([...lines].sort()).toEqual(["close", "other begins", "other ends", "release a b c"]);
  });

  test("waits for each of two, also for the slower one", async () => {
    const { signal, lines } = await ending("two", term);
    expect(signal).toBe("SIGTERM");
    expect([...lines].sort()).toEqual(["close", "release a b c", "slow begins", "slow ends"]);
  });

  test("listens to the signals it is given, and to no others", async () => {
    expect(await ending("signals", (pid) => void process.kill(pid, "SIGHUP"))).toMatchObject({ signal: "SIGHUP", lines: allAtOnce });
    expect(await ending("signals", term)).toMatchObject({ signal: "SIGTERM", lines: [] });
  });

  test("does nothing any more once stopped", async () => {
    expect(await ending("stopped", term)).toMatchObject({ signal: "SIGTERM", lines: [] });
  });

  test("takes its listeners away when stopped", () => {
    const count = () => ["SIGTERM", "SIGINT", "beforeExit"].map((event) => process.listenerCount(event));
    const before = count();
    const stop = closeOnExit({ close: async () => {} });
    expect(count()).toEqual(before.map((each) => each + 1));
    stop();
    expect(count()).toEqual(before);
  });

  test.each([
    [{ timeoutMs: 0 }, RangeError, /timeoutMs/],
    [{ signals: ["SIGFOO"] }, TypeError, /signals must be/],
    [{ signals: "SIGTERM" }, TypeError, /signals must be/],
    [{ signal: "SIGTERM" }, TypeError, /unknown option "signal"/],
  ])("refuses the options %o", (options, type, message) => {
    const attempt = () => closeOnExit({ close: async () => {} }, options as object);
    expect(attempt).toThrow(type);
    expect(attempt).toThrow(message);
  });

  test("refuses what cannot be closed", () => {
    expect(() => closeOnExit({} as never)).toThrow(TypeError);
  });
});
