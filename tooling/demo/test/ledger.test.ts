/** The ledger refuses old tokens, and nothing else. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { Ledger } from "../src/ledger.ts";

const execution = { id: "e", template: "t", workMs: 0, amount: 5 };

function ledger(fenced: boolean): Ledger {
  const folder = mkdtempSync(join(tmpdir(), "dlock-ledger-"));
  const opened = new Ledger(join(folder, "ledger.db"), fenced);
  onTestFinished(() => {
    opened.close();
    rmSync(folder, { recursive: true });
  });
  return opened;
}

test("a token that is older than one that wrote is refused, and nothing is posted", () => {
  const books = ledger(true);
  expect(books.post(execution, "new", 2n)).toBe(true);
  expect(books.post(execution, "old", 1n)).toBe(false);
  expect(books.postings()).toEqual([{ id: "e", amount: 5, worker: "new", token: "2" }]);
});

test("a token that is older than one that only looked is refused too", () => {
  const books = ledger(true);
  expect(books.look("e", 2n)).toBe("open");
  expect(books.post(execution, "old", 1n)).toBe(false);
  expect(books.look("e", 1n)).toBe("stale");
  expect(books.post(execution, "new", 2n)).toBe(true);
  expect(books.look("e", 3n)).toBe("posted");
});

test("tokens are compared as numbers, also above 2^53", () => {
  const books = ledger(true);
  expect(books.post(execution, "w", 9n)).toBe(true);
  expect(books.post(execution, "w", 10n)).toBe(true);
  expect(books.post(execution, "w", 2n ** 62n + 1n)).toBe(true);
  expect(books.post(execution, "w", 2n ** 62n)).toBe(false);
});

test("the fence of one execution is no fence for another", () => {
  const books = ledger(true);
  expect(books.post(execution, "w", 7n)).toBe(true);
  expect(books.post({ ...execution, id: "f" }, "w", 1n)).toBe(true);
});

test("the ledger itself takes a posting twice, and without the fence from anyone", () => {
  const fenced = ledger(true);
  expect([fenced.post(execution, "w", 1n), fenced.post(execution, "w", 1n)]).toEqual([true, true]);
  const open = ledger(false);
  expect([open.post(execution, "new", 2n), open.post(execution, "old", 1n)]).toEqual([true, true]);
  expect(open.postings()).toHaveLength(2);
});
