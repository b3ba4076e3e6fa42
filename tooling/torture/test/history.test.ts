/** The histories of all processes become one, also when a process was killed while it wrote. */
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { History, merge, readEvents } from "../src/history.ts";

function temporary(): { parts: string; whole: string } {
  const folder = mkdtempSync(join(tmpdir(), "dlock-history-test-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  mkdirSync(join(folder, "parts"));
  return { parts: join(folder, "parts"), whole: join(folder, "whole.jsonl") };
}

test("events of all processes stand in the order of time, and the parts are gone", () => {
  const { parts, whole } = temporary();
  const [one, other] = [new History(parts, "w1"), new History(parts, "w2")];
  one.note({ type: "invoke", op: "lock", id: 1 });
  other.note({ type: "invoke", op: "lock", id: 1 });
  one.note({ type: "ok", op: "lock", id: 1 });
  one.close();
  other.close();
  const events = merge(parts, whole);
  expect(events.map(({ process, type }) => `${process} ${type}`)).toEqual(["w1 invoke", "w2 invoke", "w1 ok"]);
  expect(readEvents(whole)).toEqual(events);
  expect(existsSync(parts)).toBe(false);
});

test("a line in the midst of which a process was killed is left out", () => {
  const { parts, whole } = temporary();
  const history = new History(parts, "w1");
  history.note({ type: "invoke", op: "lock", id: 1 });
  history.close();
  appendFileSync(join(parts, "w1.jsonl"), '{"at":12,"process":"w1","type":"invoke","op":"unl');
  expect(merge(parts, whole).map(({ op }) => op)).toEqual(["lock"]);
});
