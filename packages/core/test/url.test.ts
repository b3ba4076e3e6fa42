/** Percent-encoded parts of URLs. */
import { inspect } from "node:util";
import { expect, test } from "vitest";
import { decodeUrlPart } from "../src/index.ts";

test.each([
  ["", ""],
  ["plain", "plain"],
  ["a%2Fb%3F%23%40%25", "a/b?#@%"],
  ["j%C3%B6b+1", "jöb+1"],
  ["%F0%9F%94%92", "🔒"],
])("%j stands for %j", (part, text) => {
  expect(decodeUrlPart("the path", part)).toBe(text);
});

test.each(["hunter2%", "%zzhunter2", "hunter2%4", "%ffhunter2", "%C3hunter2"])("%j is refused by name, and not shown", (part) => {
  let error: unknown;
  try {
    decodeUrlPart("the password in the URL", part);
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(RangeError);
  expect((error as Error).message).toMatch(/^the password in the URL .* as %25$/);
  expect(inspect(error, { depth: 9, showHidden: true })).not.toContain("hunter2");
});
