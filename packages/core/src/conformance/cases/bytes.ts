/** R11: keys are bytes. Whatever a key looks like, it names its own lock and no other. */
import assert from "node:assert/strict";
import type { Grant } from "../client.js";
import type { Context } from "../context.js";
import { longMs } from "../context.js";
import type { ConformanceCase } from "../types.js";

/** Holds all keys at once, each by an owner of its own, and gives them back one by one. */
async function areDifferentLocks(t: Context, keys: readonly string[]): Promise<void> {
  const grants: Grant[] = [];
  for (const key of keys) grants.push(await t.first.grant({ key }));
  for (const grant of grants) {
    await t.second.refusal({ key: grant.key });
    assert.equal((await t.second.holder(grant.key)).owner, grant.owner);
    assert.equal(await t.first.extend(grant, 3 * longMs), true);
  }
  for (const [index, grant] of grants.entries()) {
    assert.equal(await t.second.release(grant), true);
    assert.deepEqual(await t.first.inspect(grant.key), []);
    const next = grants[index + 1];
    if (next !== undefined) assert.equal((await t.first.holder(next.key)).owner, next.owner);
  }
}

/** A case about keys that start alike and end in one of `endings`. */
function family(name: string, endings: readonly string[]): ConformanceCase {
  return {
    name,
    rule: "R11",
    async run(t) {
      const base = t.key("/");
      await areDifferentLocks(
        t,
        endings.map((ending) => base + ending),
      );
    },
  };
}

export const bytes: readonly ConformanceCase[] = [
  family("keys that differ in case are different locks", ["job", "Job", "JOB", "straße", "STRASSE"]),
  family("keys that differ in accents are different locks", ["job", "jób", "jöb", "ı", "i", "ß", "ss"]),
  family("keys that differ in their Unicode normal form are different locks", ["caf\u00e9", "cafe\u0301", "\ufb01", "fi"]),
  family("keys that differ in blanks are different locks", ["a", "a ", "a  ", " a", "a\t", "a\n", "a\r\n", "a\u00a0"]),
  family("keys with wildcards are different locks", ["a", "*", "?", "%", "_", "[a]", "a*", "a%", "a_", "[^b]"]),
  family("keys with braces are different locks", ["a", "{a}", "{a}b", "{b}a", "{}", "{", "}", "{a", "a}"]),
  family("keys with quotes and escapes are different locks", [
    "a",
    "'a'",
    '"a"',
    "`a`",
    "a'--",
    "a\\",
    "a\\\\",
    "\\a",
    "$a",
    "$1",
    ":a",
    "@a",
  ]),
  family("keys with control characters are different locks", ["a", "a\0", "a\0b", "\0a", "a\u0001", "a\u007f", "a\u001b"]),
  family("keys beyond the basic plane are different locks", ["😀", "😁", "👨‍👩‍👧", "👨", "\u{10ffff}", "\uffff"]),
  family("keys of which one is a prefix of another are different locks", ["", "a", "ab", "ab:", "ab:c", "ab/c", "ab/", "ab/c/d"]),
  family("keys that look like parts of an encoding are different locks", ["a%20", "a ", "a+", "a%", "a%2520", "a&b", "a=b", "a#b", "a?b"]),
  {
    name: "keys of 255 bytes are told apart by their last byte",
    rule: "R11",
    async run(t) {
      const base = t.key("/").padEnd(254, "k");
      await areDifferentLocks(t, [`${base}a`, `${base}b`, base]);
    },
  },
  {
    name: "keys of 255 bytes in characters of several bytes are told apart by their last one",
    rule: "R11",
    async run(t) {
      const start = t.key("/");
      const room = 255 - Buffer.byteLength(start) - 4;
      const base = start + "é".repeat(Math.floor(room / 2)) + "k".repeat(room % 2);
      assert.equal(Buffer.byteLength(`${base}😀`), 255);
      await areDifferentLocks(t, [`${base}😀`, `${base}😁`]);
    },
  },
  {
    name: "a key with nothing in front is a lock like any other",
    rule: "R11",
    async run(t) {
      // Short names are where the records of a backend itself might be.
      const names = ["\0", " ", "*", "{", "token", "tokens", "fence", "lock", "lock:", "queue", "_"];
      const unique = (name: string) => `${name}${t.prefix}`;
      await areDifferentLocks(t, names.map(unique));
    },
  },
  {
    name: "owners that differ in a byte are different owners",
    rule: "R11",
    async run(t) {
      const base = t.owner();
      for (const [mine, other] of [
        ["a", "A"],
        ["a", "a "],
        ["é", "e\u0301"],
        ["a", "á"],
        ["a", "a\0"],
        ["_", "b"],
        ["%", "c"],
      ]) {
        const key = t.key();
        const grant = await t.first.grant({ key, owner: `${base}${mine}` });
        await t.second.refusal({ key, owner: `${base}${other}` });
        assert.equal(await t.second.extend({ ...grant, owner: `${base}${other}` }), false);
        assert.equal(await t.second.release({ key, owner: `${base}${other}` }), false);
        assert.equal((await t.second.holder(key)).owner, grant.owner);
      }
    },
  },
  {
    name: "metadata comes back byte for byte",
    rule: "R11",
    async run(t) {
      for (const metadata of ["{}", "é 😀 \0 ' \" \\ \n ", " trailing ", "m".repeat(1_024), "é".repeat(512)]) {
        const key = t.key();
        await t.first.grant({ key, metadata });
        assert.equal((await t.second.holder(key)).metadata, metadata);
      }
    },
  },
];
