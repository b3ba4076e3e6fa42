// Programs in processes of their own.
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { runNode } from "../src/index.ts";

const fixture = fileURLToPath(new URL("fixture.mjs", import.meta.url));

it("a program is heard, told, and its end is known", async () => {
  const program = runNode(fixture);
  await program.line(/^ready$/);
  program.say("hello");
  expect(await program.line(/^heard/)).toBe("heard hello");
  program.say("exit");
  expect(await program.ended).toEqual({ code: 3, signal: null });
  await expect(program.line(/never/)).rejects.toThrow("ended without a line");
});

it("a paused program does nothing until it is resumed", async () => {
  const program = runNode(fixture);
  await program.line(/^ready$/);
  program.pause();
  program.say("one");
  await sleep(50);
  expect(program.lines).toEqual(["ready"]);
  program.resume();
  await program.line(/^heard one$/);
  await program.kill();
  expect(await program.ended).toEqual({ code: null, signal: "SIGKILL" });
});
